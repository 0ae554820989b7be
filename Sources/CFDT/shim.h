/* libfdt: the distribution's in the hosted build, our own for aarch64-none-elf in the images. */
#include <libfdt.h>
