/* What an exit costs, in instructions under QEMU's -icount shift=0, where a nanosecond is an instruction and
   a tick of the counter is 16 of them: `name=number` for each. And spans for the harness to count exits in,
   between calls with numbers of their own in the instruction. */
#include "guest.h"

enum { ROUNDS = 512 };
static void nothing(void) { __asm__ volatile("" ::: "memory"); }
static void read_register(void) { read32(DISK + INTERRUPT_STATUS); }
static void write_register(void) { write32(DISK + QUEUE_SELECT, 0); }
static void send(void) { __asm__ volatile("msr S3_0_C12_C11_5, %0" ::"r"(1ul) : "memory"); } /* to itself */
static void call(void) { hvc(VERSION, 0, 0, 0); }

/* Instructions of one `operation`. */
static inline __attribute__((always_inline)) u64 cost(void (*operation)(void)) {
  u64 start = ticks();
  for (int i = 0; i < ROUNDS; i++) operation();
  u64 middle = ticks();
  for (int i = 0; i < ROUNDS; i++) nothing();
  u64 end = ticks();
  return ((middle - start) - (end - middle)) * 16 / ROUNDS;
}

static void print(const char *name, u64 value) {
  for (; *name; name++) put(*name);
  put('=');
  put_number(value);
  put('\n');
}

#define MARK(number)                                                                                  \
  __asm__ volatile("mov x0, #(0x5000 + " #number ")\n\tmovk x0, #0x8400, lsl #16\n\thvc #" #number ::: "x0", \
                   "x1", "x2", "x3", "memory")

void guest_main(u64 tree) {
  (void)tree;
  u64 reading = cost(read_register), writing = cost(write_register);
  u64 calling = cost(call), sending = cost(send);
  print("read", reading);
  print("write", writing);
  print("call", calling);
  print("send", sending);

  /* The disk's interrupt, as a driver takes it: two accesses in the handler's place. */
  u64 identifier = 177, word = DISTRIBUTOR + identifier / 32 * 4, bit = 1u << identifier % 32;
  write32(word + 0x100, (u32)bit);
  __asm__ volatile("msr S3_0_C12_C12_7, %0\n\tisb\n\tmsr daifclr, #2" ::"r"(1ul) : "memory");
  start_rings();
  request(0, 8, DATA, 4096);
  write32(DISK + INTERRUPT_ACK, read32(DISK + INTERRUPT_STATUS));
  u64 before = record()->interrupts;
  MARK(1);
  u8 status = request(0, 16, DATA, 4096);
  while (record()->interrupts == before) {}
  write32(DISK + INTERRUPT_ACK, read32(DISK + INTERRUPT_STATUS));
  MARK(2);
  print("status", status);
  before = record()->interrupts;
  MARK(3);
  write32(word + 0x200, (u32)bit); /* the one exit: pended by hand */
  while (record()->interrupts == before) {}
  MARK(4);
  print("interrupts", record()->interrupts);
  hvc(OFF, 0, 0, 0);
}
void guest_secondary(u64 context) { (void)context; }
