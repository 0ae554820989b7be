/* The parts of the hostile guest. Each says '.' for what ended as it should, a letter for what did not. */
#pragma once
#include "guest.h"

/* The other guest's memory, the host's image, and memory that nobody has. */
#define OTHER_MEMORY 0x80000000ul
#define HOST_IMAGE 0x40200000ul
#define STAGED_KERNEL 0x50000000ul
#define NOWHERE 0x400000000ul
#define OWN_END 0x80000000ul

void sweep_windows(void);     /* every register, width and offset */
void sweep_controller(void);  /* the same of the interrupt controller */
void try_rings(int is_alone); /* rings and buffers where they must not be */
void try_chains(void);        /* loops, nonsense and storms */
void try_accesses(void);      /* what is more than a load or a store */
void try_calls(void);         /* firmware calls and system registers */
void race(void);              /* what the second core does meanwhile, until `race_ends` */
extern __attribute__((visibility("hidden"))) volatile u32 race_ends, race_rounds;

void witness(void);           /* the other guest */
