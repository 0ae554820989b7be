import Testing
import Wire

@Suite struct ByteArrayTests {
  @Test func fieldsAreLittleEndian() {
    var bytes = ByteArray<8>()
    bytes.store(0x0102_0304 as UInt32, at: 1)
    #expect((0..<8).map { bytes[$0] } == [0, 4, 3, 2, 1, 0, 0, 0])
    #expect(bytes.load(UInt16.self, at: 2) == 0x0203)
  }

  @Test func `fields of a span are those of the array`() {
    var bytes = ByteArray<8>()
    var span = bytes.mutableBytes
    span.setField(0x0102_0304 as UInt32, at: 1)
    let read = span.field(UInt16.self, at: 3)
    #expect(read == 0x0102)
    #expect((0..<8).map { bytes[$0] } == [0, 4, 3, 2, 1, 0, 0, 0])
    let whole = bytes.bytes.field(UInt64.self, at: 0)
    #expect(whole == 0x01_0203_0400)
  }
}
