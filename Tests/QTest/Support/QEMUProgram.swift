import Glibc

/// Where the emulator is: `VIREO_QEMU` names it, else PATH is searched.
enum QEMUProgram {
  static func path() throws(QTestError) -> String {
    if let named = variable("VIREO_QEMU"), !named.isEmpty {
      if unsafe access(named, X_OK) == 0 { return named }
      throw .noEmulator("VIREO_QEMU is \(named), which cannot be executed")
    }
    for folder in (variable("PATH") ?? "").split(separator: ":") {
      let candidate = "\(folder)/qemu-system-aarch64"
      if unsafe access(candidate, X_OK) == 0 { return candidate }
    }
    throw .noEmulator("not on PATH")
  }

  private static func variable(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}
