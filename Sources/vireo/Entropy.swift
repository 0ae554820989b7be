// Random bytes.

import ArgumentParser
import DeviceTypes
import Host

struct Entropy: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Random bytes of this system.")

  @OptionGroup(title: "Options of every device") var serving: Serving

  func run() throws { try serving.serve(EntropyDevice(backend: SystemEntropy())) }
}
