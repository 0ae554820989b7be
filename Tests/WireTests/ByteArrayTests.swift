import Testing
import Wire

@Suite struct ByteArrayTests {
  @Test func fieldsAreLittleEndian() {
    var bytes = ByteArray<8>()
    bytes.store(0x0102_0304 as UInt32, at: 1)
    #expect((0..<8).map { bytes[$0] } == [0, 4, 3, 2, 1, 0, 0, 0])
    #expect(bytes.load(UInt16.self, at: 2) == 0x0203)
  }
}
