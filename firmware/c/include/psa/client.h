/* Firmware Framework for M 1.1: what a client of services can do. */
#ifndef PSA_CLIENT_H
#define PSA_CLIENT_H
#include <stddef.h>
#include <stdint.h>

#include "psa/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PSA_FRAMEWORK_VERSION (0x0101u)
#define PSA_VERSION_NONE (0u)
#define PSA_MAX_IOVEC (4u)
#define PSA_IPC_CALL (0)

typedef int32_t psa_handle_t;

#define PSA_NULL_HANDLE ((psa_handle_t)0)
#define PSA_HANDLE_IS_VALID(handle) ((psa_handle_t)(handle) > 0)
#define PSA_HANDLE_TO_ERROR(handle) ((psa_status_t)(handle))

typedef struct psa_invec {
    const void *base;
    size_t len;
} psa_invec;

typedef struct psa_outvec {
    void *base;
    size_t len;
} psa_outvec;

uint32_t psa_framework_version(void);
uint32_t psa_version(uint32_t sid);
psa_handle_t psa_connect(uint32_t sid, uint32_t version);
psa_status_t psa_call(psa_handle_t handle, int32_t type, const psa_invec *in_vec, size_t in_len,
                      psa_outvec *out_vec, size_t out_len);
void psa_close(psa_handle_t handle);

/* Who failed last, and why; the record outlives a warm reset. */
struct ringfort_failure {
    int32_t partition;   /* its id, -1 for the non-secure side */
    uint32_t cause;      /* 1 panic, 2 call, 3 memory, 4 bus, 5 instruction, 6 stack, 7 border, 8 deadline */
    uint32_t generation; /* of the partition, after its restart */
    uint32_t count;      /* failures since the record began; 0: none */
};
psa_status_t ringfort_failure(struct ringfort_failure *record, size_t size);

/* One call at a time: two threads that may call at once need a mutex here. The library's own are
   weak and do nothing; the gateway answers a second call with PSA_ERROR_CONNECTION_BUSY. */
void ringfort_lock(void);
void ringfort_unlock(void);

#ifdef __cplusplus
}
#endif
#endif
