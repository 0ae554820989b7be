/* SPDX-License-Identifier: Apache-2.0 */
/* Memory barriers that Swift cannot name: those towards devices outside the CPUs' shareability domain.
 * Header only, so that they inline on every triple. */
#ifndef VIREO_BARRIER_H
#define VIREO_BARRIER_H

/* Orders every access before it against every access after it, as a hardware device sees them. */
static inline void vireo_platform_barrier(void) {
#if defined(__aarch64__)
  __asm__ volatile("dmb sy" ::: "memory");
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#endif
