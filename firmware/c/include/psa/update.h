/* PSA Firmware Update 1.0 for one component, the release: secure and non-secure image together.
   The manifest of psa_fwu_start is the length of the hub's order in four bytes, little-endian, the
   order, and the SUIT envelope. The image is the components in the manifest's order, each filled up
   to a multiple of 8 bytes. */
#ifndef PSA_UPDATE_H
#define PSA_UPDATE_H
#include <stddef.h>
#include <stdint.h>

#include "psa/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PSA_FWU_API_VERSION_MAJOR 1
#define PSA_FWU_API_VERSION_MINOR 0

#define PSA_ERROR_DEPENDENCY_NEEDED ((psa_status_t)-156)
#define PSA_ERROR_FLASH_ABUSE ((psa_status_t)-160)
#define PSA_ERROR_INSUFFICIENT_POWER ((psa_status_t)-161)
#define PSA_SUCCESS_REBOOT ((psa_status_t)+1)
#define PSA_SUCCESS_RESTART ((psa_status_t)+2)

#define PSA_FWU_READY 0u
#define PSA_FWU_WRITING 1u
#define PSA_FWU_CANDIDATE 2u
#define PSA_FWU_STAGED 3u
#define PSA_FWU_FAILED 4u
#define PSA_FWU_TRIAL 5u
#define PSA_FWU_REJECTED 6u
#define PSA_FWU_UPDATED 7u

#define PSA_FWU_FLAG_VOLATILE_STAGING 0x00000001u
#define PSA_FWU_FLAG_ENCRYPTION 0x00000002u

#define PSA_FWU_LOG2_WRITE_ALIGN 3
#define PSA_FWU_MAX_WRITE_SIZE 4096u

typedef uint8_t psa_fwu_component_t;

/* The only component. */
#define RINGFORT_FWU_RELEASE ((psa_fwu_component_t)0)

/* Of the running image: `build` is the low half of its manifest's sequence number. */
typedef struct psa_fwu_image_version_t {
    uint8_t major;
    uint8_t minor;
    uint16_t patch;
    uint32_t build;
} psa_fwu_image_version_t;

typedef struct psa_fwu_impl_info_t {
    uint32_t attempts; /* boots that the running image has spent on trial */
    uint32_t written;  /* bytes of the image written so far */
    char reason[32];   /* reason code of the last refusal or failure */
} psa_fwu_impl_info_t;

/* `location` is the slot that runs, 0 or 1; no flag is set. */
typedef struct psa_fwu_component_info_t {
    uint8_t state;
    psa_status_t error;
    psa_fwu_image_version_t version;
    uint32_t max_size;
    uint32_t flags;
    uint32_t location;
    psa_fwu_impl_info_t impl;
} psa_fwu_component_info_t;

psa_status_t psa_fwu_query(psa_fwu_component_t component, psa_fwu_component_info_t *info);
psa_status_t psa_fwu_start(psa_fwu_component_t component, const void *manifest,
                           size_t manifest_size);
psa_status_t psa_fwu_write(psa_fwu_component_t component, size_t image_offset, const void *block,
                           size_t block_size);
psa_status_t psa_fwu_finish(psa_fwu_component_t component);
psa_status_t psa_fwu_cancel(psa_fwu_component_t component);
psa_status_t psa_fwu_clean(psa_fwu_component_t component);
psa_status_t psa_fwu_install(void);
psa_status_t psa_fwu_request_reboot(void);
psa_status_t psa_fwu_reject(psa_status_t error);
psa_status_t psa_fwu_accept(void);

/* A nonce for the hub: an order that answers it echoes it. */
psa_status_t ringfort_fwu_challenge(uint8_t nonce[16]);
/* The next anchors document. */
psa_status_t ringfort_fwu_anchors(const void *document, size_t size);

#ifdef __cplusplus
}
#endif
#endif
