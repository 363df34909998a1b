/* Calls of a partition that are more than one instruction, and what a compiler asks for. */
#include <stddef.h>

#include "psa/client.h"

struct vectors {
    const psa_invec *in;
    size_t in_len;
    psa_outvec *out;
    size_t out_len;
};

psa_status_t ringfort_call(psa_handle_t handle, int32_t type, const struct vectors *vectors);

uint32_t psa_framework_version(void)
{
    return PSA_FRAMEWORK_VERSION;
}

psa_status_t psa_call(psa_handle_t handle, int32_t type, const psa_invec *in_vec, size_t in_len,
                      psa_outvec *out_vec, size_t out_len)
{
    struct vectors vectors = {in_vec, in_len, out_vec, out_len};
    return ringfort_call(handle, type, &vectors);
}

/* Weak: newlib's are taken where it is linked. */
__attribute__((weak)) void *memcpy(void *to, const void *from, size_t len)
{
    char *a = to;
    const char *b = from;
    while (len--) {
        *a++ = *b++;
    }
    return to;
}

__attribute__((weak)) void *memmove(void *to, const void *from, size_t len)
{
    char *a = to;
    const char *b = from;
    if (a < b) {
        return memcpy(to, from, len);
    }
    while (len--) {
        a[len] = b[len];
    }
    return to;
}

__attribute__((weak)) void *memset(void *to, int value, size_t len)
{
    char *a = to;
    while (len--) {
        *a++ = (char)value;
    }
    return to;
}

__attribute__((weak)) int memcmp(const void *one, const void *other, size_t len)
{
    const unsigned char *a = one, *b = other;
    for (; len--; a++, b++) {
        if (*a != *b) {
            return *a - *b;
        }
    }
    return 0;
}
