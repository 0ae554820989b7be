// A front end that says whatever a test wants, byte by byte.

import CLinux
import Glibc
import Host
import QTestSupport
import Testing

@testable import Host

/// Our end of a vhost-user connection.
final class HostileFrontEnd {
  private let socket: OpenFile

  init(_ path: String) throws {
    let number = unsafe clinux_connect(path)
    guard number >= 0 else { throw SystemError(-number) }
    socket = OpenFile(number)
  }

  /// Sends bytes as they are, with descriptors.
  func send(raw bytes: [UInt8], _ descriptors: [OpenFile] = []) {
    let numbers = descriptors.map(\.number)
    // The peer may have hung up already: what it says after that is what the test asks about.
    _ = unsafe bytes.withUnsafeBytes { all in
      unsafe clinux_send(socket.number, all.baseAddress, all.count, numbers, Int32(numbers.count))
    }
  }

  /// Sends a message that wants to be acknowledged.
  func send(_ request: UInt32, _ payload: [UInt8] = [], _ descriptors: [OpenFile] = [], flags: UInt32 = 9) {
    var bytes: [UInt8] = []
    bytes.append(request)
    bytes.append(flags)
    bytes.append(UInt32(payload.count))
    send(raw: bytes + payload, descriptors)
  }

  /// The payload of the next reply and the descriptor that comes with it, or nil when there is none.
  func receiveFile() throws -> (payload: [UInt8], file: OpenFile)? {
    var header = [UInt8](repeating: 0, count: 12)
    var number: Int32 = -1
    var count: Int32 = 1
    let got = unsafe header.withUnsafeMutableBytes { all in
      unsafe clinux_receive(socket.number, all.baseAddress, all.count, &number, &count)
    }
    guard got == 12, count == 1, let byteCount = header.load(UInt32.self, at: 8),
      let payload = bytes(Int(byteCount))
    else { return nil }
    return (payload, OpenFile(number))
  }

  /// The payload of the next reply, or nil when the server has hung up.
  func receive() -> [UInt8]? {
    guard let header = bytes(12), let count = header.load(UInt32.self, at: 8) else { return nil }
    return count == 0 ? [] : bytes(Int(count))
  }

  /// Whether the server acknowledges `request`: false for a refusal, nil when it hangs up.
  func ask(_ request: VhostUserRequest, _ payload: [UInt8] = [], _ descriptors: [OpenFile] = []) -> Bool? {
    send(request.rawValue, payload, descriptors)
    return receive().map { $0.load(UInt64.self, at: 0) == 0 }
  }

  /// Whether the server says something within ten seconds, or hangs up.
  var hasReply: Bool {
    var polled = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
    // One descriptor.
    return unsafe poll(&polled, 1, 10_000) > 0
  }

  /// Negotiates everything, so that refusals are replies and not the end. Rings are split unless `isPacked`.
  func negotiate(isPacked: Bool = false) {
    let features = negotiateProtocol() & ~(isPacked ? 0 : 1 << 34)
    send(VhostUserRequest.setFeatures.rawValue, le(features), flags: 1)
  }

  /// Takes all features of the protocol, and returns the device's, of which none is taken yet.
  func negotiateProtocol() -> UInt64 {
    send(VhostUserRequest.getFeatures.rawValue, flags: 1)
    let features = receive()!.load(UInt64.self, at: 0)!
    send(VhostUserRequest.getProtocolFeatures.rawValue, flags: 1)
    send(VhostUserRequest.setProtocolFeatures.rawValue, receive()!, flags: 1)
    return features
  }

  private func bytes(_ count: Int) -> [UInt8]? {
    var result = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = unsafe result.withUnsafeMutableBytes { all in
        unsafe recv(socket.number, all.baseAddress! + done, count - done, 0)
      }
      if got <= 0 { return nil }
      done += got
    }
    return result
  }
}

/// The little-endian bytes of numbers, one after the other.
func le<each T: FixedWidthInteger>(_ numbers: repeat each T) -> [UInt8] {
  var bytes: [UInt8] = []
  for number in repeat each numbers { bytes.append(number) }
  return bytes
}
