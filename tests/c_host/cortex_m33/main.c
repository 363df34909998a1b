/* ringfort_device.h on a Cortex-M33 (Armv8-M Mainline): everything that a port has, linked without a
 * C library, an operating system or a heap. `cargo xtask firmware test` builds and links it; it is
 * not run: its flash is memory, and there is no network.
 */
#include "ringfort_device.h"

#include <stddef.h>

static uint8_t state[2 * 12288], anchors[2 * 12288], slots[2][65536];
static ringfort_device device;

static uint8_t *area(uint32_t which) {
    switch (which) {
    case RINGFORT_AREA_STATE: return state;
    case RINGFORT_AREA_ANCHORS: return anchors;
    case RINGFORT_AREA_SLOT_A: return slots[0];
    default: return slots[1];
    }
}

static int32_t flash_read(void *context, uint32_t which, uint32_t offset, uint8_t *bytes,
                          uint32_t length) {
    (void)context;
    for (uint32_t i = 0; i < length; i++) bytes[i] = area(which)[offset + i];
    return 0;
}

static int32_t flash_erase(void *context, uint32_t which, uint32_t offset, uint32_t length) {
    (void)context;
    for (uint32_t i = 0; i < length; i++) area(which)[offset + i] = 0xff;
    return 0;
}

static int32_t flash_program(void *context, uint32_t which, uint32_t offset, const uint8_t *bytes,
                             uint32_t length) {
    (void)context;
    for (uint32_t i = 0; i < length; i++) area(which)[offset + i] &= bytes[i];
    return 0;
}

/* A board's own: there is none here, and a device without it stops. */
static int32_t none(void) { return -1; }

static int32_t random_bytes(void *context, uint8_t *bytes, uint32_t length) {
    (void)context, (void)bytes, (void)length;
    return none();
}

static int32_t sign(void *context, const uint8_t *message, uint32_t length, uint8_t *signature) {
    (void)context, (void)message, (void)length, (void)signature;
    return none();
}

static int32_t exchange(void *context, const ringfort_request *request, uint8_t *body,
                        uint32_t capacity, ringfort_answer *answer) {
    (void)context, (void)request, (void)body, (void)capacity, (void)answer;
    return none();
}

static int32_t slot(void *context, uint32_t which) {
    (void)context, (void)which;
    return 0;
}

static int32_t current(void *context) {
    (void)context;
    return RINGFORT_SLOT_A;
}

static void reboot(void *context) {
    (void)context;
    *(volatile uint32_t *)0xe000ed0c = 0x05fa0004; /* SYSRESETREQ */
}

static uint64_t uptime(void *context) {
    (void)context;
    return 0;
}

static void say(void *context, uint32_t severity, const char *text) {
    (void)context, (void)severity, (void)text;
}

void ringfort_panic(void) {
    for (;;) reboot(NULL);
}

static const ringfort_port port = {
    .abi = RINGFORT_ABI,
    .areas = {{sizeof state, 4096, 8}, {sizeof anchors, 4096, 8},
              {sizeof slots[0], 4096, 8}, {sizeof slots[1], 4096, 8}},
    .flash_read = flash_read,
    .flash_erase = flash_erase,
    .flash_program = flash_program,
    .random = random_bytes,
    .sign = sign,
    .exchange = exchange,
    .activate = slot,
    .confirm = slot,
    .current = current,
    .destroy = slot,
    .reboot = reboot,
    .uptime_seconds = uptime,
    .log = say,
};

static const ringfort_settings settings = {
    .built = 1790000000, .trial_attempts = 3, .key_store = RINGFORT_KEYS_SECURE_PARTITION};

int main(void) {
    static uint8_t der[2048];
    static char hub[256];
    static const uint8_t key[65] = {4};
    ringfort_status status;
    ringfort_identity identity = {.device = "m33"};
    if (ringfort_abi() != RINGFORT_ABI) return 1;
    if (ringfort_provision(&port, &identity, der, sizeof der, key)) return 2;
    if (ringfort_start(&device, &port, &settings)) return 3;
    ringfort_certificate_request(&port, key, der, sizeof der);
    ringfort_get_hub(&device, hub, sizeof hub);
    ringfort_get_server_ca(&device, 0, der, sizeof der);
    while (ringfort_poll(&device) >= 0) ringfort_get_status(&device, &status);
    return ringfort_health(&device, NULL);
}
