// What a person sees when an image fails: the cause in words, where, the registers and the calls.

import CMachine
import Wire

/// Called by the vectors for every exception that is not an interrupt of this core. A fault of the report
/// itself comes here again, on another stack: then less is said.
@c(machine_exception) @used
func machineException(_ frame: UnsafePointer<machine_frame>) -> Never {
  // The vectors hand over the frame that they have just filled, and nothing else runs until the end.
  let saved = unsafe frame.pointee
  if unsafe Power.ending { Power.offWithoutSemihosting() }
  unsafe ExceptionReport.depth += 1
  switch unsafe ExceptionReport.depth {
  case 1:
    Serial.claim()
    ExceptionReport(frame: saved).print()
  case 2:
    Serial.newLine()
    Serial.put("vireo: a second exception during the report")
    ExceptionReport(frame: saved).printCause()
  default: break
  }
  Power.off(status: ExceptionReport.exitStatus)
}

struct ExceptionReport {
  /// Exit status of a run that ends with an exception.
  static let exitStatus: UInt32 = 70
  /// How many exceptions were taken; the code that counts runs with everything masked.
  nonisolated(unsafe) static var depth = 0

  let frame: machine_frame

  private var exceptionClass: UInt64 { frame.esr >> 26 & 0x3f }

  func print() {
    Serial.newLine()
    Serial.put("vireo: exception: ")
    printCause()
    printRegisters()
    printBacktrace()
    Serial.line("vireo: result=fail")
  }

  /// One line: what happened and where.
  func printCause() {
    switch frame.vector & 3 {
    case 1: Serial.put("an interrupt where none can come")
    case 2: Serial.put("a fast interrupt, which this image uses none of")
    case 3: Serial.put("a system error")
    default: printSynchronousCause()
    }
    Serial.put(", pc=0x")
    Serial.put(hex: frame.elr)
    Serial.newLine()
  }

  private func printSynchronousCause() {
    switch exceptionClass {
    case 0x3c where frame.esr & 0xffff == 1:
      Serial.put("Swift runtime failure (a bound, an overflow, a nil or a failed precondition)")
    case 0x3c: Serial.put("breakpoint instruction")
    case 0x00: Serial.put("undefined instruction")
    case 0x07: Serial.put("FP or SIMD instruction while they are off")
    case 0x0e: Serial.put("illegal execution state")
    case 0x15, 0x16, 0x17: Serial.put("system call instruction")
    case 0x18: Serial.put("system register that this level may not use")
    case 0x20, 0x21: printAbort("instruction fetch")
    case 0x22: Serial.put("program counter not aligned")
    case 0x24, 0x25: printAbort(frame.esr & 1 << 6 != 0 ? "write" : "read")
    case 0x26: Serial.put("stack pointer not aligned")
    default:
      Serial.put("exception class 0x")
      Serial.put(hex: exceptionClass, digits: 2)
    }
  }

  private func printAbort(_ access: FixedText) {
    if isStackOverflow {
      Serial.put("stack overflow: ")
    }
    Serial.put(access)
    Serial.put(" at 0x")
    Serial.put(hex: frame.far)
    switch frame.esr & 0x3c {
    case 0x00: Serial.put(", an address size fault")
    case 0x04: Serial.put(frame.far < 0x1000 ? ", a null pointer" : ", which is not mapped")
    case 0x08: Serial.put(", an access flag fault")
    case 0x0c: Serial.put(", which its page does not permit")
    case 0x10: Serial.put(", where the bus answered with an error")
    case 0x20: Serial.put(", which is not aligned")
    default: Serial.put(", another fault")
    }
  }

  private var isStackOverflow: Bool {
    let page = frame.far & ~0xfff
    if page >= machine_core_stacks(), page < machine_core_stacks_end() {
      return (page - machine_core_stacks()) % machine_core_stack_stride() == 0
    }
    return page == machine_stack_guard() || page == machine_exception_guard() || page == machine_fault_guard()
  }

  private func printRegisters() {
    printRegister("esr ", frame.esr)
    printRegister(" far ", frame.far)
    printRegister(" spsr", frame.spsr)
    printRegister(" sp  ", frame.sp)
    Serial.newLine()
    // The registers are the first thing in the frame, 31 words.
    unsafe withUnsafeBytes(of: frame.x) { words in
      for index in 0..<31 {
        Serial.put(index % 4 == 0 ? "x" : " x")
        Serial.put(decimal: UInt64(index))
        Serial.put(spaces: index < 10 ? 2 : 1)
        Serial.put("0x")
        unsafe Serial.put(hex: words.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
        if index % 4 == 3 { Serial.newLine() }
      }
    }
    Serial.newLine()
  }

  private func printRegister(_ name: FixedText, _ value: UInt64) {
    Serial.put(name)
    Serial.put(" 0x")
    Serial.put(hex: value)
  }

  /// The calls that led here, by frame records: each holds the caller's record and the return address. A
  /// record counts only while it lies on a stack and above the one before, so that a broken chain ends.
  private func printBacktrace() {
    Serial.line("backtrace, the innermost call first:")
    printCall(0, frame.elr)
    var record = frame.x.29
    var last: UInt64 = 0
    for number in 1...32 {
      guard record > last, record & 7 == 0, isOnStack(record) else { break }
      // The record lies within a stack of ours, which is mapped.
      let words = unsafe UnsafePointer<UInt64>(bitPattern: UInt(record)).unsafelyUnwrapped
      let address = unsafe words[1]
      guard address > machine_image_start(), address < machine_text_end() else { break }
      printCall(number, address - 4)  // the call itself, not what follows it
      last = record
      record = unsafe words[0]
    }
  }

  private func printCall(_ number: Int, _ address: UInt64) {
    Serial.put(spaces: number < 10 ? 3 : 2)
    Serial.put("#")
    Serial.put(decimal: UInt64(number))
    Serial.put(" pc=0x")
    Serial.put(hex: address)
    Serial.newLine()
  }

  private func isOnStack(_ address: UInt64) -> Bool {
    address >= machine_stack_bottom() && address <= machine_stack_top() - 16
      || address >= machine_exception_bottom() && address <= machine_exception_top() - 16
      || address >= machine_core_stacks() && address + 16 <= machine_core_stacks_end()
  }
}
