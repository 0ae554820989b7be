/* Mbed TLS: the distribution's in the hosted build, our own for aarch64-none-elf in the images. */
#include <mbedtls/hmac_drbg.h>
#include <mbedtls/version.h>

/* Versions 2 and 3 of the library have different names for the function that reports whether it worked. */
static inline int random_update(mbedtls_hmac_drbg_context *context, const unsigned char *data, size_t count) {
#if MBEDTLS_VERSION_NUMBER < 0x03000000
  return mbedtls_hmac_drbg_update_ret(context, data, count);
#else
  return mbedtls_hmac_drbg_update(context, data, count);
#endif
}
