/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIREO_H
#define VIREO_H
#include <stdint.h>
#include <stddef.h>
#endif
