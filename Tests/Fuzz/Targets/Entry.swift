// From the fuzzer's bytes to one run.

import Virtio

/// Runs `body` on the input, with memory that is freed after it.
@unsafe
func withInput(
  _ data: UnsafePointer<UInt8>?, _ count: Int,
  _ body: (inout Input, FuzzMemory, GuestMemory) -> Void
) {
  // The fuzzer keeps its bytes as long as the run takes.
  var input = unsafe Input(UnsafeRawBufferPointer(start: data, count: count))
  let memory = FuzzMemory()
  let table = UnsafeMutableBufferPointer<GuestRegion>.allocate(capacity: 2)
  body(&input, memory, unsafe memory.guest(table))
  unsafe table.deallocate()
  memory.free()
}
