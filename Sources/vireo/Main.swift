// vireo: our devices for VMMs that are other processes.

import ArgumentParser

@main struct Vireo: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vireo", abstract: "Virtio devices for virtual machine monitors that are other processes.",
    subcommands: [VhostUser.self])
}

struct VhostUser: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vhost-user",
    abstract: "Serves one virtio device to a monitor, such as QEMU, that connects to a Unix socket.",
    discussion: """
      The process ends on SIGINT and SIGTERM, with every write finished. After a monitor has disconnected, \
      the next one can connect. Before it sleeps the process looks at the rings for up to 5 microseconds, if \
      that has brought something lately. Once its files are open it gives up all capabilities, further \
      files, and system calls that serving does not take.
      """,
    subcommands: [Block.self, Console.self, Entropy.self, Network.self, SCMIPlatform.self])
}
