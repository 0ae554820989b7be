import Glibc

/// One QEMU virt machine without a running guest CPU: its device models answer to this process alone.
///
/// The machine's vCPU is held powered off, registers are reached over the qtest protocol, RAM is shared
/// memory. The process is killed when the object goes away, when it has run for `lifetimeSeconds`, and by
/// `timeout` even if the test process itself dies.
public final class QEMU {
  /// The machine's RAM.
  public let ram: GuestRAM

  /// Our ends of the stream sockets that the machine was given, in the order of `Machine.socket(_:id:)`.
  public let sockets: [StreamSocket]

  /// What went wrong first with the machine itself.
  public internal(set) var failure: QTestError?

  private let process: pid_t
  private let errors: FileDescriptor
  private let channel: LineChannel
  private let monitor: LineChannel

  /// The longest a machine may live.
  public static let lifetimeSeconds = 300

  /// File descriptor numbers in the child.
  private enum Inherited {
    static let qtest: Int32 = 10
    static let monitor: Int32 = 11
    static let memory: Int32 = 12
    static let sockets: Int32 = 20
  }

  /// The argument of a character device that is socket `index` of the machine.
  static func socketArgument(_ index: Int, id: String) -> String {
    "socket,id=\(id),fd=\(Inherited.sockets + Int32(index))"
  }

  /// Starts a machine with `devices` (further command line arguments), `socketCount` stream sockets and
  /// `ramBytes` of RAM, and waits until it answers.
  public init(_ devices: [String], socketCount: Int = 0, ramBytes: Int = 64 << 20) throws(QTestError) {
    let program = try QEMUProgram.path()
    ram = try GuestRAM(size: ramBytes)
    errors = try .memory(size: 0)
    let (qtest, theirQTest) = try FileDescriptor.pair()
    let (qmp, theirMonitor) = try FileDescriptor.pair()
    var inherited = [
      (theirQTest, Inherited.qtest), (theirMonitor, Inherited.monitor), (errors, 2), (errors, 1),
    ]
    var sockets: [StreamSocket] = []
    for index in 0..<socketCount {
      let (ours, theirs) = try FileDescriptor.pair()
      sockets.append(try StreamSocket(ours))
      inherited.append((theirs, Inherited.sockets + Int32(index)))
    }
    self.sockets = sockets
    channel = try LineChannel(qtest)
    monitor = try LineChannel(qmp)
    let arguments = Self.arguments(program: program, ramBytes: ramBytes) + devices
    process = try Self.spawn(
      arguments, inheriting: inherited.map { ($0.0.number, $0.1) } + [(ram.file.number, Inherited.memory)])
    // Only the child holds these ends from now on: when it ends, we read the end of the stream.
    for (file, _) in inherited where file !== errors { file.close() }
    try greet()
  }

  deinit {
    kill(-process, SIGKILL)
    kill(process, SIGKILL)
    while waitpid(process, nil, 0) < 0 && errno == EINTR {}
  }

  private static func arguments(program: String, ramBytes: Int) -> [String] {
    let mebibytes = ramBytes >> 20
    return [
      "timeout", "--signal=KILL", "\(lifetimeSeconds)", program,
      "-M", "virt,memory-backend=ram", "-cpu", "cortex-a72", "-nodefaults", "-display", "none",
      "-m", "\(mebibytes)M",
      "-object",
      "memory-backend-file,id=ram,size=\(mebibytes)M,mem-path=/proc/self/fd/\(Inherited.memory),share=on",
      "-global", "cortex-a72-arm-cpu.start-powered-off=on",
      "-global", "virtio-mmio.force-legacy=false",
      "-chardev", "socket,id=qtest,fd=\(Inherited.qtest)", "-qtest", "chardev:qtest", "-qtest-log", "none",
      "-chardev", "socket,id=qmp,fd=\(Inherited.monitor)", "-mon", "chardev=qmp,mode=control",
    ]
  }

  /// Starts the process in its own group, with `inheriting` mapped from our descriptor to the child's.
  private static func spawn(
    _ arguments: [String], inheriting: [(ours: Int32, theirs: Int32)]
  ) throws(QTestError) -> pid_t {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    var lifted: [FileDescriptor] = []
    for (ours, theirs) in inheriting {
      // Above every target number, so that no copy in the child overwrites a source still needed.
      let source = try FileDescriptor(fcntl(ours, F_DUPFD_CLOEXEC, 64), from: "fcntl")
      unsafe posix_spawn_file_actions_adddup2(&actions, source.number, theirs)
      lifted.append(source)
    }
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    unsafe posix_spawnattr_setpgroup(&attributes, 0)

    var words = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var child = pid_t()
    let result = unsafe posix_spawnp(&child, "timeout", &actions, &attributes, &words, environ)
    withExtendedLifetime(lifted) {}
    if result != 0 { throw .system(call: "posix_spawnp", errno: result) }
    return child
  }

  /// Reads QMP's greeting, checks the version, and waits until the machine is built.
  private func greet() throws(QTestError) {
    do throws(QTestError) {
      let greeting = try monitor.receive(for: "greeting")
      guard let version = Self.majorVersion(greeting) else {
        throw QTestError.answer(command: "greeting", got: greeting)
      }
      if version < 9 { throw QTestError.noEmulator("this one is version \(version)") }
      try command("qmp_capabilities")
    } catch {
      throw explained(error)
    }
  }

  private static func majorVersion(_ greeting: String) -> Int? {
    let key = "\"major\": "
    guard let start = greeting.firstRange(of: key)?.upperBound else { return nil }
    return Int(greeting[start...].prefix { $0.isNumber })
  }

  /// Sends one QMP command and returns the line that answers it; events in between are dropped.
  @discardableResult
  public func command(_ name: String, arguments: String? = nil) throws(QTestError) -> String {
    let line =
      arguments.map { "{\"execute\": \"\(name)\", \"arguments\": \($0)}" } ?? "{\"execute\": \"\(name)\"}"
    do throws(QTestError) {
      try monitor.send(line)
      while true {
        let answer = try monitor.receive(for: line)
        if answer.hasPrefix("{\"return\"") { return answer }
        if answer.hasPrefix("{\"error\"") { throw QTestError.answer(command: line, got: answer) }
      }
    } catch {
      throw explained(error)
    }
  }

  /// Sends one qtest command and returns the words after "OK".
  func request(_ line: String) throws(QTestError) -> Substring {
    do throws(QTestError) {
      try channel.send(line)
      while true {
        let answer = try channel.receive(for: line)
        if answer == "OK" { return "" }
        if answer.hasPrefix("OK ") { return answer.dropFirst(3) }
        // Interrupt lines report in between once they are intercepted.
        if !answer.hasPrefix("IRQ ") { throw QTestError.answer(command: line, got: answer) }
      }
    } catch {
      throw explained(error)
    }
  }

  /// Adds what QEMU wrote to its standard error when it has gone.
  private func explained(_ error: QTestError) -> QTestError {
    if case .closed = error { return .closed(errors.text()) }
    return error
  }
}
