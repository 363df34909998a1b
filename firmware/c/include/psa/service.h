/* Firmware Framework for M 1.1: what a partition can do. */
#ifndef PSA_SERVICE_H
#define PSA_SERVICE_H
#include <stddef.h>
#include <stdint.h>

#include "psa/client.h"

#define PSA_POLL (0x00000000u)
#define PSA_BLOCK (0x80000000u)
#define PSA_WAIT_ANY (0xffffffffu)
#define PSA_DOORBELL (0x00000008u)
#define PSA_IPC_CONNECT (-1)
#define PSA_IPC_DISCONNECT (-2)
/* Asks a service named under `health` whether all is well with it: success says yes. */
#define RINGFORT_HEALTH (0x52464801)

typedef uint32_t psa_signal_t;
typedef uint32_t psa_irq_status_t;

typedef struct psa_msg_t {
    int32_t type;
    psa_handle_t handle;
    int32_t client_id;
    void *rhandle;
    size_t in_size[PSA_MAX_IOVEC];
    size_t out_size[PSA_MAX_IOVEC];
} psa_msg_t;

psa_signal_t psa_wait(psa_signal_t signal_mask, uint32_t timeout);
psa_status_t psa_get(psa_signal_t signal, psa_msg_t *msg);
void psa_set_rhandle(psa_handle_t msg_handle, void *rhandle);
size_t psa_read(psa_handle_t msg_handle, uint32_t invec_idx, void *buffer, size_t num_bytes);
size_t psa_skip(psa_handle_t msg_handle, uint32_t invec_idx, size_t num_bytes);
void psa_write(psa_handle_t msg_handle, uint32_t outvec_idx, const void *buffer, size_t num_bytes);
void psa_reply(psa_handle_t msg_handle, psa_status_t status);
void psa_notify(int32_t partition_id);
void psa_clear(void);
void psa_eoi(psa_signal_t irq_signal);
void psa_panic(void) __attribute__((noreturn));
void psa_irq_enable(psa_signal_t irq_signal);
psa_irq_status_t psa_irq_disable(psa_signal_t irq_signal);

/* A line on the secure console, at most 128 bytes. */
void ringfort_print(const char *text, size_t len);
/* Resets the device; only for a partition whose manifest says may_reset. */
void ringfort_reset(void);

#endif
