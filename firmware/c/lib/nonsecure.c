/* Calls of a non-secure application: one veneer each, 8 bytes apart, in an order that never
   changes. RINGFORT_GATEWAY is the address of the first one. */
#include "psa/client.h"

#define VENEER(number) (RINGFORT_GATEWAY + 8 * (number) + 1)

struct vectors {
    const psa_invec *in;
    size_t in_len;
    psa_outvec *out;
    size_t out_len;
};

__attribute__((weak)) void ringfort_lock(void)
{
}

__attribute__((weak)) void ringfort_unlock(void)
{
}

uint32_t psa_framework_version(void)
{
    return ((uint32_t(*)(void))VENEER(0))();
}

uint32_t psa_version(uint32_t sid)
{
    ringfort_lock();
    uint32_t version = ((uint32_t(*)(uint32_t))VENEER(1))(sid);
    ringfort_unlock();
    return version;
}

psa_handle_t psa_connect(uint32_t sid, uint32_t version)
{
    ringfort_lock();
    psa_handle_t handle = ((psa_handle_t(*)(uint32_t, uint32_t))VENEER(2))(sid, version);
    ringfort_unlock();
    return handle;
}

psa_status_t psa_call(psa_handle_t handle, int32_t type, const psa_invec *in_vec, size_t in_len,
                      psa_outvec *out_vec, size_t out_len)
{
    struct vectors vectors = {in_vec, in_len, out_vec, out_len};
    ringfort_lock();
    psa_status_t status = ((psa_status_t(*)(psa_handle_t, int32_t, const struct vectors *))
                               VENEER(3))(handle, type, &vectors);
    ringfort_unlock();
    return status;
}

void psa_close(psa_handle_t handle)
{
    ringfort_lock();
    ((psa_status_t(*)(psa_handle_t))VENEER(4))(handle);
    ringfort_unlock();
}

psa_status_t ringfort_failure(struct ringfort_failure *record, size_t size)
{
    ringfort_lock();
    psa_status_t status =
        ((psa_status_t(*)(struct ringfort_failure *, size_t))VENEER(5))(record, size);
    ringfort_unlock();
    return status;
}
