// A platform that says what the test tells it to, and its rig.

import DeviceTypes
import TestSupport
import Virtio
import Wire

/// Answers from a script and keeps what it was asked.
struct ScriptedPlatform: SCMIBackend {
  var implementsEvents = true
  var regions: [UInt32: SharedMemoryRegion] = [:]
  /// The commands that came, in order.
  var commands: [[UInt8]] = []
  /// The room there was for each response.
  var rooms: [Int] = []
  /// The answer to each command: its payload, the status first. Without one, SUCCESS and the parameters.
  var answers: [[UInt8]] = []
  var events: [[UInt8]] = []
  /// Claims an event that is gone when it is asked for.
  var pretendsEvents = false
  /// Puts an event in the queue with each command.
  var echoesEvents = false
  var starts: [Bool] = []
  var resetCount = 0

  var implementsRegions: Bool { !regions.isEmpty }
  func region(_ id: UInt32) -> SharedMemoryRegion? { regions[id] }
  mutating func start(receivesEvents: Bool) { starts.append(receivesEvents) }
  mutating func reset() { resetCount += 1 }
  var hasEvent: Bool { pretendsEvents || !events.isEmpty }

  mutating func respond(to command: RawSpan, into response: inout MutableRawSpan) -> Int {
    let bytes = command.array
    commands.append(bytes)
    if echoesEvents { events.append(scmiMessage(type: 3, bytes.dropFirst(4))) }
    let payload = answers.isEmpty ? [0, 0, 0, 0] + bytes.dropFirst(4) : answers.removeFirst()
    var answer = bytes.prefix(4) + payload
    rooms.append(response.byteCount)
    if answer.count > response.byteCount { answer = bytes.prefix(4) + scmiProtocolError }
    for (i, byte) in answer.enumerated() { response.storeBytes(of: byte, toByteOffset: i, as: UInt8.self) }
    return answer.count
  }

  mutating func nextEvent(into event: inout MutableRawSpan) -> Int {
    if events.isEmpty { return 0 }
    let bytes = events.removeFirst()
    for (i, byte) in bytes.enumerated() { event.storeBytes(of: byte, toByteOffset: i, as: UInt8.self) }
    return bytes.count
  }
}

/// A message of the Base protocol with `payload`. Type 0 is a command, 2 a delayed response and 3 a
/// notification.
func scmiMessage(type: UInt8 = 0, _ payload: some Sequence<UInt8>) -> [UInt8] {
  [5, type, 0x40, 0] + payload
}

/// The status of a response of exactly 8 bytes.
let scmiProtocolError: [UInt8] = [0xf6, 0xff, 0xff, 0xff]

extension RawSpan {
  /// The bytes as an array.
  var array: [UInt8] { (0..<byteCount).map { ByteArray<1>(prefixOf: extracting($0..<($0 + 1)))[0] } }
}

typealias SCMIBench = Bench<SCMIDevice<ScriptedPlatform>, 2>
