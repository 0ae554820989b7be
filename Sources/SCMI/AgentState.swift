// What the platform keeps for one agent: its view of the resources, and what it is owed.

/// One resource in an agent's view. Its place there is the identifier that the agent uses.
struct Grant {
  /// The board's number of the resource.
  var resource: UInt16 = 0
  var rights = Rights.none
  /// Why access is denied for now; 0 when it is not.
  var denials: UInt8 = 0

  /// BASE_SET_DEVICE_PERMISSIONS and BASE_SET_PROTOCOL_PERMISSIONS took access away.
  static var deniedDevice: UInt8 { 1 }
  static var deniedProtocol: UInt8 { 2 }
  /// PINCTRL_SET_PERMISSIONS did.
  static var deniedPin: UInt8 { 4 }
}

/// The resources of one kind that an agent sees.
struct View<let resourceLimit: Int> {
  var count = 0
  var grants = [resourceLimit of Grant] { _ in Grant() }
}

/// An asynchronous command. Its slot is taken when the command is accepted, so that there is always room for
/// the delayed response.
struct Operation {
  enum Phase { case free, running, finished }

  var phase = Phase.free
  /// The agent ignores the delayed response, or was reset meanwhile.
  var isSilent = false
  /// Tells uses of the slot apart.
  var generation: UInt16 = 0
  /// The board's number of the resource.
  var resource: UInt16 = 0
  /// The identifier that the agent used.
  var identifier: UInt32 = 0
  var header = MessageHeader(word: 0)
  var status = SCMIStatus.success
  var value: UInt64 = 0
  /// When it finished, relative to others.
  var sequence: UInt32 = 0
}

/// Names an accepted asynchronous command until it is finished.
public struct OperationID: Equatable, Sendable {
  let agent: UInt8
  let slot: UInt8
  let generation: UInt16
}

/// How a backend took a command that it may carry out later.
public enum Progress: Sendable {
  /// Done.
  case finished
  /// Begun: the embedder will call `SCMIPlatform.finish`. Only for commands that come with an operation.
  case pending
}

/// An error that BASE_ERROR_EVENT reports.
struct ErrorReport {
  var agent: UInt8 = 0
  var isFatal = false
  var header = MessageHeader(word: 0)
  var status = SCMIStatus.success
}

struct AgentState<let resourceLimit: Int> {
  var description = AgentDescription(name: SCMIName(""))
  /// The messages that the agent can send now, 16 of each protocol.
  var rules = [160 of AgentRule](repeating: .absent)
  /// Protocols, one bit each by `ProtocolID.index`: that the agent sees, all of whose resources are denied
  /// to it, and that it uses as SCMI 2.0 has them.
  var visibleProtocols: UInt16 = 0
  var deniedProtocols: UInt16 = 0
  var legacyProtocols: UInt16 = 0
  /// Protocols that may have a notification for the agent.
  var pendingProtocols: UInt16 = 0
  /// Where the search for the next notification starts, so that no resource keeps others waiting.
  var cursor = 0
  var views = [10 of View<resourceLimit>] { _ in View() }
  var operations = [8 of Operation] { _ in Operation() }
  var finishedCount = 0
  var sequence: UInt32 = 0
  var systemPower = SystemPowerNotice()
  var wantsErrors = false
  var errors = [8 of ErrorReport] { _ in ErrorReport() }
  var errorCount = 0
}
