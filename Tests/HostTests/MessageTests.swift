import Testing

@testable import Host

@Suite struct `vhost-user messages` {
  @Test func `a header is read field by field`() throws {
    let header = try #require(VhostUserHeader([5, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0]))
    #expect(header.request == 5 && header.payloadByteCount == 8 && header.needsReply)
  }
}
