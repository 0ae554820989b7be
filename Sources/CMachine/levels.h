/* The exception level that an image runs at: 1, or 2 with MACHINE_EL2. */
#ifdef MACHINE_EL2
#define EL(register) register##_el2
#define TABLE_ONES (1 << 6)             /* AP[1] is RES1 where there is only one level */
#define TEXT_NEVER_EXECUTE_HIGH 0
#define TRANSLATION_CONTROL 0x80823519
#define INVALIDATE_TRANSLATIONS tlbi alle2
#else
#define EL(register) register##_el1
#define TABLE_ONES 0
#define TEXT_NEVER_EXECUTE_HIGH 0x0040  /* UXN */
#define TRANSLATION_CONTROL 0x200803519
#define INVALIDATE_TRANSLATIONS tlbi vmalle1
#endif
