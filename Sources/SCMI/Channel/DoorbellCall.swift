// The doorbell of a channel as an SMC or HVC of the agent, by the SMC Calling Convention: how the registers
// are told apart from other calls, and what is returned. The agent is not trusted.

/// The call by which an agent says that its channel holds a command.
///
/// A channel without a completion interrupt must be answered before the call returns.
public struct DoorbellCall: Equatable, Sendable {
  /// The function identifier in the first register, of the range that the board gives to SCMI.
  public let functionID: UInt32
  /// Where the agent has the area, for the form of the call that names it by page and offset; nil for the
  /// form with the identifier alone.
  public let areaAddress: UInt64?

  /// What a call turned out to be.
  public enum Verdict: Equatable, Sendable {
    /// Another call.
    case other
    /// The doorbell: serve the channel, then return `success`.
    case doorbell
    /// The doorbell of an area that is not there: return `invalidParameter`.
    case refused
  }

  /// A doorbell that is the identifier alone, as `arm,scmi-smc` has it.
  public init(functionID: UInt32) {
    self.functionID = functionID
    areaAddress = nil
  }

  /// A doorbell with the agent's address of the area in pages of 4 KiB and an offset, as `arm,scmi-smc-param`
  /// has it.
  public init(functionID: UInt32, areaAddress: UInt64) {
    self.functionID = functionID
    self.areaAddress = areaAddress
  }

  /// Returned in the first register for a command that was answered.
  public static var success: UInt64 { 0 }
  /// Returned in the first register when nothing was done: the convention's INVALID_PARAMETER, -3.
  public static var invalidParameter: UInt64 { UInt64(bitPattern: -3) }

  /// What a call with these first three registers is. The identifier has 32 bits; what is above is ignored.
  public func verdict(_ x0: UInt64, _ x1: UInt64, _ x2: UInt64) -> Verdict {
    guard UInt32(truncatingIfNeeded: x0) == functionID else { return .other }
    guard let areaAddress else { return .doorbell }
    return x1 == areaAddress >> 12 && x2 == areaAddress & 0xFFF ? .doorbell : .refused
  }

  /// The first three registers of the call, for the agent that makes it.
  public var registers: (UInt64, UInt64, UInt64) {
    guard let areaAddress else { return (UInt64(functionID), 0, 0) }
    return (UInt64(functionID), areaAddress >> 12, areaAddress & 0xFFF)
  }
}
