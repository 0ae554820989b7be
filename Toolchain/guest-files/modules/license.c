/* The licence of Linux's files that are made into a module here. */
#include <linux/module.h>

MODULE_LICENSE("GPL");
