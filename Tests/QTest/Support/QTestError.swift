/// Why the harness could not do what a test asked.
public enum QTestError: Error, CustomStringConvertible {
  /// No QEMU of version 9 or newer was found.
  case noEmulator(String)
  /// A call of the operating system failed.
  case system(call: String, errno: Int32)
  /// QEMU closed the connection; the text is what it wrote to its standard error.
  case closed(String)
  /// QEMU did not answer in time.
  case timeout(String)
  /// QEMU answered with something else than the protocol has.
  case answer(command: String, got: String)

  /// One line for the test report.
  public var description: String {
    switch self {
    case .noEmulator(let found):
      "no usable qemu-system-aarch64 (\(found)): run Toolchain/test, which installs version 9 or newer, "
        + "or set VIREO_QEMU"
    case .system(let call, let number): "\(call) failed, errno \(number)"
    case .closed(let text): "QEMU ended: \(text)"
    case .timeout(let what): "QEMU did not answer in time: \(what)"
    case .answer(let command, let got): "'\(command)' was answered '\(got)'"
    }
  }
}
