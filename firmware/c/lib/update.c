/* PSA Firmware Update 1.0, over the service that the manifest names FIRMWARE_UPDATE. */
#include "psa/update.h"

#include "psa/client.h"
#include "psa_manifest/sid.h"

_Static_assert(sizeof(psa_fwu_component_info_t) == 68, "as the service lays it out");

static psa_status_t plain(int32_t type, uint32_t word, size_t len)
{
    psa_invec in = {&word, len};
    return psa_call(FIRMWARE_UPDATE_HANDLE, type, &in, 1, NULL, 0);
}

static psa_status_t two(int32_t type, const uint32_t *words, size_t len, const void *bytes,
                        size_t size)
{
    psa_invec in[2] = {{words, len}, {bytes, size}};
    return psa_call(FIRMWARE_UPDATE_HANDLE, type, in, 2, NULL, 0);
}

psa_status_t psa_fwu_query(psa_fwu_component_t component, psa_fwu_component_info_t *info)
{
    uint32_t word = component;
    psa_invec in = {&word, sizeof word};
    psa_outvec out = {info, sizeof *info};
    return psa_call(FIRMWARE_UPDATE_HANDLE, 1, &in, 1, &out, 1);
}

psa_status_t psa_fwu_start(psa_fwu_component_t component, const void *manifest,
                           size_t manifest_size)
{
    uint32_t word = component;
    return two(2, &word, sizeof word, manifest, manifest_size);
}

psa_status_t psa_fwu_write(psa_fwu_component_t component, size_t image_offset, const void *block,
                           size_t block_size)
{
    uint32_t words[2] = {component, image_offset};
    return two(3, words, sizeof words, block, block_size);
}

psa_status_t psa_fwu_finish(psa_fwu_component_t component)
{
    return plain(4, component, 4);
}

psa_status_t psa_fwu_cancel(psa_fwu_component_t component)
{
    return plain(5, component, 4);
}

psa_status_t psa_fwu_clean(psa_fwu_component_t component)
{
    return plain(6, component, 4);
}

psa_status_t psa_fwu_install(void)
{
    return plain(7, 0, 0);
}

psa_status_t psa_fwu_request_reboot(void)
{
    return plain(8, 0, 0);
}

psa_status_t psa_fwu_reject(psa_status_t error)
{
    return plain(9, (uint32_t)error, 4);
}

psa_status_t psa_fwu_accept(void)
{
    return plain(10, 0, 0);
}

psa_status_t ringfort_fwu_challenge(uint8_t nonce[16])
{
    psa_outvec out = {nonce, 16};
    return psa_call(FIRMWARE_UPDATE_HANDLE, 64, NULL, 0, &out, 1);
}

psa_status_t ringfort_fwu_anchors(const void *document, size_t size)
{
    return two(65, NULL, 0, document, size);
}
