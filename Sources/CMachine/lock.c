/* Waiting for a lock. A core that finds it taken looks again for a moment, as most are held for no longer.
   Then it sleeps until the holder gives it back: in an emulator, and under a hypervisor, cores take turns on
   the processors of the machine below, and one that looks for ever keeps the holder from its turn. */
#include "cmachine.h"

#ifdef MACHINE_EL2

enum { looks = 200 };

/* A bit for each core that takes MACHINE_WAKE. */
static uint32_t may_sleep;

static uint32_t own_bit(void) { return 1u << (machine_read_affinity() & 15); }

void machine_lock_may_sleep(void) { __atomic_fetch_or(&may_sleep, own_bit(), __ATOMIC_RELAXED); }

static int is_turn(const struct machine_lock *lock, uint32_t ticket) {
  return __atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) == ticket;
}

/* The interrupt by which the holder wakes others is no longer pending here. No other has its priority. */
static void take_wake(void) {
  uint64_t identifier = machine_read_icc_iar();
  if (identifier == MACHINE_WAKE) machine_write_icc_eoir(identifier);
}

__attribute__((noinline)) static void wait(struct machine_lock *lock, uint32_t ticket) {
  for (int i = 0; i < looks; i++)
    if (is_turn(lock, ticket)) return;
  uint32_t own = own_bit();
  /* A guest may have made its core deaf: by active priorities of its own that nothing is above. */
  int is_deaf = (machine_read_icc_rpr() & 0xf8) == MACHINE_WAKE_PRIORITY;
  if (is_deaf || (__atomic_load_n(&may_sleep, __ATOMIC_RELAXED) & own) == 0) {
    while (!is_turn(lock, ticket)) __asm__ volatile("yield");
    return;
  }
  /* Whatever else is pending does not end the sleep. */
  machine_write_icc_pmr(MACHINE_PRIORITY);
  __atomic_fetch_or(&lock->sleepers, own, __ATOMIC_RELAXED);
  /* Either the holder sees the bit, or the next owner is seen here: it has a barrier between the two too. */
  __asm__ volatile("dmb ish" ::: "memory");
  while (!is_turn(lock, ticket)) {
    machine_wait_for_interrupt();
    take_wake();
  }
  __atomic_fetch_and(&lock->sleepers, ~own, __ATOMIC_RELAXED);
  take_wake();
  machine_write_icc_pmr(0xff);
}

__attribute__((noinline)) static void wake(const struct machine_lock *lock) {
  /* A core whose turn it is not sleeps on. */
  uint32_t sleepers = __atomic_load_n(&lock->sleepers, __ATOMIC_RELAXED);
  machine_synchronize();
  machine_write_icc_sgi0((uint64_t)MACHINE_WAKE << 24 | sleepers);
}

void machine_lock_acquire(struct machine_lock *lock) {
  uint32_t ticket, value, failed;
  __asm__ volatile(
      "1: ldaxr %w0, [%3]\n\tadd %w1, %w0, #1\n\tstxr %w2, %w1, [%3]\n\tcbnz %w2, 1b\n\tldar %w1, [%4]"
      : "=&r"(ticket), "=&r"(value), "=&r"(failed)
      : "r"(&lock->next), "r"(&lock->owner)
      : "memory", "cc");
  if (__builtin_expect(value != ticket, 0)) wait(lock, ticket);
}

void machine_lock_release(struct machine_lock *lock) {
  __asm__ volatile("stlr %w0, [%1]\n\tdmb ish" ::"r"(lock->owner + 1), "r"(&lock->owner) : "memory");
  if (__builtin_expect(__atomic_load_n(&lock->sleepers, __ATOMIC_RELAXED) != 0, 0)) wake(lock);
}

#endif
