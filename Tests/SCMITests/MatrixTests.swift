// Every message in both profiles: present or absent, of exactly one length, about the agent's own resources
// only, and with the board's errors passed on.

import SCMI
import Testing

/// What may go wrong on a board.
private let errors: [SCMIStatus] = [
  .notSupported, .invalidParameters, .denied, .notFound, .outOfRange, .busy, .commsError, .genericError,
  .hardwareError, .protocolError, .inUse,
]

/// The messages that act on the board, or measure.
private let acting: Set<String> = [
  "POWER_STATE_SET", "SYSTEM_POWER_STATE_SET", "PERFORMANCE_LIMITS_SET", "PERFORMANCE_LEVEL_SET",
  "CLOCK_RATE_SET", "CLOCK_CONFIG_SET", "CLOCK_PARENT_SET", "SENSOR_READING_GET", "SENSOR_CONFIG_SET",
  "SENSOR_TRIP_POINT_CONFIG", "RESET", "VOLTAGE_CONFIG_SET", "VOLTAGE_LEVEL_SET", "POWERCAP_CAP_SET",
  "POWERCAP_PAI_SET", "PINCTRL_SETTINGS_CONFIGURE",
]

@Suite struct `SCMI messages` {
  /// The status that a new platform answers with.
  private func status(
    _ profile: SCMIProfile, _ message: MatrixMessage, _ parameters: [UInt32], fault: SCMIStatus? = nil
  ) -> SCMIStatus {
    let (bench, agent) = matrixBench(profile)
    bench.board.fault = fault
    let header = MessageHeader(message.protocolID, message.message, token: 1)
    let reply = bench.exchange(littleEndian([header.word] + parameters), from: agent)
    #expect(reply.count >= 8 && words(reply)[0] == header.word)
    let status = SCMIStatus(rawValue: Int32(bitPattern: words(reply)[1]))
    #expect(status == .success || reply.count == 8, "an error has nothing after its status")
    return status
  }

  @Test(arguments: [SCMIProfile.version32, .version20])
  func `the platform has those of the profile and no others`(_ profile: SCMIProfile) {
    let (bench, agent) = matrixBench(profile)
    for number in 0x10...0x1F as ClosedRange<UInt8> {
      let messages = messageMatrix.filter { $0.protocolID.rawValue == number }
      let expected = messages.filter { $0.parameters(profile) != nil }.map(\.message).sorted()
      let found = (0...0xFF as ClosedRange<UInt8>).filter {
        bench.send(ProtocolID(rawValue: number), 2, UInt32($0), from: agent).status == .success
      }
      #expect(found == expected, "protocol \(number)")
    }
  }

  @Test(arguments: messageMatrix, [SCMIProfile.version32, .version20])
  func `each works as it should, or is not there`(_ message: MatrixMessage, _ profile: SCMIProfile) {
    if let parameters = message.parameters(profile) {
      #expect(status(profile, message, parameters) == .success)
    } else {
      let isThere = messageMatrix.contains {
        $0.protocolID == message.protocolID && $0.parameters(profile) != nil
      }
      #expect(status(profile, message, message.parameters) == (isThere ? .notFound : .notSupported))
    }
  }

  @Test(arguments: messageMatrix, [SCMIProfile.version32, .version20])
  func `a word too few or too many is a protocol error`(_ message: MatrixMessage, _ profile: SCMIProfile) {
    guard let parameters = message.parameters(profile) else { return }
    #expect(status(profile, message, parameters + [0]) == .protocolError)
    if !parameters.isEmpty { #expect(status(profile, message, parameters.dropLast()) == .protocolError) }
  }

  @Test(arguments: messageMatrix, [SCMIProfile.version32, .version20])
  func `a resource beyond the view is not found`(_ message: MatrixMessage, _ profile: SCMIProfile) {
    guard var parameters = message.parameters(profile), let resource = message.resource else { return }
    for id in [16, 0xFFFF, .max] as [UInt32] {
      parameters[resource] = id
      #expect(status(profile, message, parameters) == .notFound)
    }
  }

  @Test(arguments: errors, [SCMIProfile.version32, .version20])
  func `an error of the board is passed on`(_ error: SCMIStatus, _ profile: SCMIProfile) {
    for message in messageMatrix {
      guard let parameters = message.parameters(profile) else { continue }
      let expected = acting.contains(message.testDescription) ? error : .success
      #expect(status(profile, message, parameters, fault: error) == expected, "\(message.testDescription)")
    }
  }
}
