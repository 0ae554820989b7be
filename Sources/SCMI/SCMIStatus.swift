// SCMI return status codes.

/// The status of a response. Everything but `success` ends the response after the status word.
@frozen
public struct SCMIStatus: Error, Equatable, Sendable {
  /// The code as it is sent.
  public let rawValue: Int32

  /// A status received from the other side, known or not.
  @inline(__always)
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// SUCCESS.
  public static var success: SCMIStatus { SCMIStatus(rawValue: 0) }
  /// NOT_SUPPORTED: the feature is not there, for anybody or for this agent.
  public static var notSupported: SCMIStatus { SCMIStatus(rawValue: -1) }
  /// INVALID_PARAMETERS: a parameter has a value that it must not have.
  public static var invalidParameters: SCMIStatus { SCMIStatus(rawValue: -2) }
  /// DENIED: the agent may not do this.
  public static var denied: SCMIStatus { SCMIStatus(rawValue: -3) }
  /// NOT_FOUND: there is no such thing in the agent's view.
  public static var notFound: SCMIStatus { SCMIStatus(rawValue: -4) }
  /// OUT_OF_RANGE: an index or value lies outside its range.
  public static var outOfRange: SCMIStatus { SCMIStatus(rawValue: -5) }
  /// BUSY: too much is pending; the command can be tried again.
  public static var busy: SCMIStatus { SCMIStatus(rawValue: -6) }
  /// COMMS_ERROR: the platform could not reach what the command is about.
  public static var commsError: SCMIStatus { SCMIStatus(rawValue: -7) }
  /// GENERIC_ERROR: none of the others.
  public static var genericError: SCMIStatus { SCMIStatus(rawValue: -8) }
  /// HARDWARE_ERROR: the hardware did not do it.
  public static var hardwareError: SCMIStatus { SCMIStatus(rawValue: -9) }
  /// PROTOCOL_ERROR: the message has a wrong length or header.
  public static var protocolError: SCMIStatus { SCMIStatus(rawValue: -10) }
  /// IN_USE: somebody else holds it.
  public static var inUse: SCMIStatus { SCMIStatus(rawValue: -11) }
}
