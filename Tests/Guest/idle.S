// A guest that does nothing and never ends: a Linux-style image whose core stays where it begins, for tests
// of what happens on another core.

  .text
  .globl _start
_start:
  b _start
  .long 0
  .quad 0                       // text_offset
  .quad 0x1000                  // image_size
  .quad 0b1010
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .long 0
