/* ringfort_device.h: a Ringfort device on a platform of its own.
 *
 * The library decides what the device believes, takes, switches to and goes back from: anchors,
 * orders, releases, the floor against rollback, trial and result. The platform supplies flash,
 * random numbers, a signature, an exchange with the hub over its own TLS, its boot loader and a
 * restart (struct ringfort_port). Everything blocks; nothing is allocated.
 *
 * Order of calls
 *   at the factory   ringfort_provision, once
 *   at each start    ringfort_start, once; it needs no hub
 *   then             ringfort_poll, again after ringfort_get_status().interval_seconds, and sooner,
 *                    with growing pauses, when it returned RINGFORT_E_HUB
 *   without a hub    ringfort_take_anchors with what lies at ringfort_get_spare, once a day and
 *                    when the hub is not reached; ringfort_offline_order with what a technician
 *                    brought
 *   on trial         when start or poll return RINGFORT_ON_TRIAL: the application checks itself and
 *                    calls ringfort_health
 *   rebooting        when any returns RINGFORT_REBOOTING: restart the machine; further calls are
 *                    refused until then
 *
 * Results are 0 or more for success, negative for an error (enum ringfort_error). After
 * RINGFORT_E_HUB poll again later. After any other error restart the machine, or call
 * ringfort_start again: what flash holds is whole or absent after a cut at any moment.
 *
 * Memory and ownership: the caller owns everything that it passes and may free it when the call
 * returns, but for the device itself (RINGFORT_DEVICE_SIZE bytes, aligned to 8, static as a rule)
 * and what `context` points to. struct ringfort_port is copied. Pointers handed to a callback are
 * valid until it returns.
 *
 * Threads: one device is used by one thread at a time; the platform locks where there are more.
 * Callbacks run on the calling thread and must not call the library with the same device. There is
 * no global state. Stack: up to 24 KiB on a 32-bit machine.
 *
 * Sizes and lengths are in bytes, times in seconds, Unix times in seconds since 1970-01-01 UTC.
 * SPDX-License-Identifier: Apache-2.0 OR MIT
 */
#ifndef RINGFORT_DEVICE_H
#define RINGFORT_DEVICE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface: compare it with ringfort_abi(). */
#define RINGFORT_ABI 1u
/* Memory of a device. */
#define RINGFORT_DEVICE_SIZE 32768u
/* A certificate request at most. */
#define RINGFORT_REQUEST_MAX 190u

/* What start, poll and health return when they succeed. */
enum ringfort_condition {
    RINGFORT_IDLE = 0,      /* nothing to do before the next poll */
    RINGFORT_ON_TRIAL = 1,  /* a new image runs: call ringfort_health */
    RINGFORT_REBOOTING = 2, /* the machine has to restart */
    RINGFORT_DECOMMISSIONED = 3 /* a command has put the device out of use, for ever */
};

enum ringfort_error {
    RINGFORT_E_ARGUMENT = -1,    /* an argument makes no sense, or not now */
    RINGFORT_E_FLASH = -2,       /* flash could not be read, erased or programmed */
    RINGFORT_E_STATE = -3,       /* flash holds no provisioned device, or a damaged one */
    RINGFORT_E_HUB = -4,         /* the hub was not reached, refused, or answered nonsense */
    RINGFORT_E_RANDOM = -5,      /* no random numbers */
    RINGFORT_E_TOO_LARGE = -6,   /* something does not fit */
    RINGFORT_E_BOOT_LOADER = -7, /* the boot loader did not do what it was asked */
    RINGFORT_E_SIGN = -8,        /* the key did not sign */
    RINGFORT_E_PLATFORM = -9     /* keys or data were not destroyed; it is tried again */
};

/* The two slots, and none. */
enum ringfort_slot { RINGFORT_SLOT_A = 0, RINGFORT_SLOT_B = 1, RINGFORT_SLOT_NONE = 2 };

/* Parts of flash. STATE and ANCHORS are two halves each, so that the newest record is never
 * overwritten: at least 9 KiB and 17 KiB, and twice the erase block. */
enum ringfort_area {
    RINGFORT_AREA_STATE = 0,
    RINGFORT_AREA_ANCHORS = 1,
    RINGFORT_AREA_SLOT_A = 2,
    RINGFORT_AREA_SLOT_B = 3
};

/* How far an update is; the numbers of the device API. */
enum ringfort_update {
    RINGFORT_UPDATE_NONE = 0,
    RINGFORT_UPDATE_OFFERED = 1,
    RINGFORT_UPDATE_DOWNLOADING = 2,
    RINGFORT_UPDATE_WRITTEN = 3,
    RINGFORT_UPDATE_TRIAL = 4,
    RINGFORT_UPDATE_CONFIRMED = 5,
    RINGFORT_UPDATE_REFUSED = 6,
    RINGFORT_UPDATE_FAILED = 7,
    RINGFORT_UPDATE_REVERTED = 8
};

/* What keeps the operational key. */
enum ringfort_key_store {
    RINGFORT_KEYS_SEALED_FILE = 1,
    RINGFORT_KEYS_PKCS11 = 2,
    RINGFORT_KEYS_TPM2 = 3,
    RINGFORT_KEYS_OP_TEE = 4,
    RINGFORT_KEYS_SECURE_PARTITION = 5,
    RINGFORT_KEYS_SECURE_ELEMENT = 6
};

/* What a command of people destroys. */
enum ringfort_destroy {
    /* The operational key and certificate, and the data of whoever operates the device. Then the
     * platform enrols again with the factory identity. */
    RINGFORT_DESTROY_OPERATIONAL = 0,
    /* The factory identity, the attestation key and all data; the library erases the slot that
     * does not run. The operational key stays for the last report, and goes with the next call. */
    RINGFORT_DESTROY_IDENTITY = 1
};

enum ringfort_severity {
    RINGFORT_INFORMATION = 0,
    RINGFORT_WARNING = 1,
    RINGFORT_ALARM = 2
};

/* How an area of flash is made: erase_bytes divides size_bytes, program_bytes is a power of two up
 * to 64 and divides erase_bytes. */
typedef struct ringfort_geometry {
    uint32_t size_bytes;
    uint32_t erase_bytes;
    uint32_t program_bytes;
} ringfort_geometry;

enum ringfort_method { RINGFORT_GET = 0, RINGFORT_POST = 1 };

/* A request to the hub. The address is the anchors' and may change with them. */
typedef struct ringfort_request {
    uint32_t method;      /* enum ringfort_method */
    uint32_t has_range;   /* not 0: send "Range: bytes=range_first-range_last" */
    uint32_t range_first;
    uint32_t range_last;
    const char *hub;      /* "https://hub.example.com" or with a port; up to 255 bytes */
    const char *path;     /* "/v1/check-in" */
    const uint8_t *body;  /* of a POST, Content-Type: application/cbor */
    uint32_t body_length;
} ringfort_request;

typedef struct ringfort_answer {
    uint32_t status;      /* the HTTP status */
    uint32_t length;      /* of the body */
} ringfort_answer;

/* The platform. Callbacks return 0 for success and anything else for failure unless they say
 * otherwise. None may be null. */
typedef struct ringfort_port {
    uint32_t abi;                /* RINGFORT_ABI */
    ringfort_geometry areas[4];  /* by enum ringfort_area */
    void *context;               /* handed to every callback */

    /* Reads. Offsets start at the beginning of the area. */
    int32_t (*flash_read)(void *context, uint32_t area, uint32_t offset, uint8_t *bytes,
                          uint32_t length);
    /* Erases whole blocks to 0xff. */
    int32_t (*flash_erase)(void *context, uint32_t area, uint32_t offset, uint32_t length);
    /* Programs whole units, each erased before and programmed once. Durable when it returns. */
    int32_t (*flash_program)(void *context, uint32_t area, uint32_t offset, const uint8_t *bytes,
                             uint32_t length);
    /* Fills with random bytes of cryptographic quality. */
    int32_t (*random)(void *context, uint8_t *bytes, uint32_t length);
    /* ECDSA P-256 with SHA-256 over the message, by the key that a certificate is asked for:
     * r and s, 32 bytes each. For ringfort_certificate_request only; TLS is the platform's. */
    int32_t (*sign)(void *context, const uint8_t *message, uint32_t length, uint8_t *signature);
    /* Makes the request over TLS 1.3 with the operational certificate (LDevID) as the client's,
     * trusting ringfort_get_server_ca and nothing else, at the time of ringfort_get_status. Writes
     * the body, at most `capacity` bytes; a longer one is a failure. Any HTTP status is success:
     * failure is only that no answer came. */
    int32_t (*exchange)(void *context, const ringfort_request *request, uint8_t *body,
                        uint32_t capacity, ringfort_answer *answer);
    /* The next boot runs this slot, on trial: the boot loader goes back by itself when it was not
     * confirmed after some tries. Also called on the way back. May come twice. */
    int32_t (*activate)(void *context, uint32_t slot);
    /* The slot that runs is to stay. May come at every start. */
    int32_t (*confirm)(void *context, uint32_t slot);
    /* The slot that the machine runs from, by the boot loader's word: enum ringfort_slot, A or B;
     * anything else is a failure. */
    int32_t (*current)(void *context);
    /* Destroys keys and data: enum ringfort_destroy. What is gone already is no failure. */
    int32_t (*destroy)(void *context, uint32_t what);
    /* Restarts the machine; it may do so later, and return. */
    void (*reboot)(void *context);
    /* Seconds since the start, from a counter that nobody sets. */
    uint64_t (*uptime_seconds)(void *context);
    /* Something for people; reason codes are those of the documents. */
    void (*log)(void *context, uint32_t severity, const char *text);
} ringfort_port;

/* Who the device is, as the factory's identity answer says. */
typedef struct ringfort_identity {
    const char *device;     /* its name: 1 to 64 letters, digits, '.', '-' */
    uint8_t ueid[17];       /* RFC 9711: 0x01 and 16 random bytes */
    uint8_t vendor[16];     /* SUIT vendor id */
    uint8_t class_id[16];   /* SUIT class id */
} ringfort_identity;

typedef struct ringfort_settings {
    uint64_t built;           /* when the platform's software was built, Unix time */
    uint32_t trial_attempts;  /* starts of an unconfirmed image, 1 to 255 */
    uint32_t key_store;       /* enum ringfort_key_store */
    uint32_t hardware_keys;   /* not 0: the key cannot leave its hardware */
} ringfort_settings;

typedef struct ringfort_status {
    int32_t condition;          /* enum ringfort_condition */
    uint32_t update;            /* enum ringfort_update: in progress, or how the last one ended */
    uint32_t active_slot;       /* enum ringfort_slot: the slot of the confirmed image */
    uint32_t interval_seconds;  /* until the next poll, before up to 10 % of jitter */
    uint64_t time;              /* the best time there is, Unix time */
    uint64_t anchors;           /* version */
    uint64_t floor;             /* highest confirmed sequence number; 0 for none */
    uint64_t order;             /* of the update; 0 for none */
    char reason[32];            /* why the last update ended, a reason code; "" for none */
} ringfort_status;

/* A device. */
typedef struct ringfort_device {
    uint64_t memory[RINGFORT_DEVICE_SIZE / 8];
} ringfort_device;

/* Writes a new device into flash: who it is and the first anchors that it believes, with their
 * SHA-256 (32 bytes) as the factory knows it. Erases STATE and ANCHORS. 0, or an error. */
int32_t ringfort_provision(const ringfort_port *port, const ringfort_identity *identity,
                           const uint8_t *anchors, uint32_t anchors_length,
                           const uint8_t *anchors_digest);

/* Takes up what flash holds and what a cut interrupted. A condition, or an error. */
int32_t ringfort_start(ringfort_device *device, const ringfort_port *port,
                       const ringfort_settings *settings);

/* Asks the hub, and does what follows: may fetch and write a whole image. A condition, or an
 * error. */
int32_t ringfort_poll(ringfort_device *device);

/* Ends the trial: null when all is well, else what is not, up to 120 bytes of text for people. A
 * condition, or an error. */
int32_t ringfort_health(ringfort_device *device, const char *failed);

/* How things are. 0, or an error. */
int32_t ringfort_get_status(ringfort_device *device, ringfort_status *status);

/* Copies the hub's address, with its zero; 256 bytes suffice. 0, or an error. */
int32_t ringfort_get_hub(ringfort_device *device, char *out, uint32_t capacity);

/* Copies the spare address with its zero, 256 bytes suffice; an empty text where there is none.
 * Version N of the anchors lies there at /N.cbor. Whom TLS shows there need not be trusted: the
 * documents prove themselves. 0, or an error. */
int32_t ringfort_get_spare(ringfort_device *device, char *out, uint32_t capacity);

/* Takes the anchors after those in force (ringfort_get_status().anchors), from the spare address or
 * a medium, up to 8192 bytes. A document that is not the next, or is not signed as it has to be,
 * changes nothing and is logged. Versions are taken one by one. A condition, or an error. */
int32_t ringfort_take_anchors(ringfort_device *device, const uint8_t *document, uint32_t length);

/* Takes an order that came on a medium, made by `ringfort device order`, with the command that it
 * names or null. It is judged like any other; one that is refused is logged, and then is not
 * ringfort_get_status().order. For what follows `exchange` may answer from the medium:
 * /v1/manifests/DIGEST by release.suit, /v1/objects/DIGEST by objects/DIGEST, and -1 to the rest.
 * A condition, or an error. */
int32_t ringfort_offline_order(ringfort_device *device, const uint8_t *order, uint32_t order_length,
                               const uint8_t *command, uint32_t command_length);

/* Copies one of the Server CA certificates (DER, up to 2048 bytes) that TLS has to trust, from
 * index 0 on; RINGFORT_E_ARGUMENT beyond the last. Its length, or an error. */
int32_t ringfort_get_server_ca(ringfort_device *device, uint32_t index, uint8_t *out,
                               uint32_t capacity);

/* Makes a certificate request (PKCS #10, DER) for EST, signed by the port's `sign` with the key
 * whose public half (0x04, x, y: 65 bytes) is given. RINGFORT_REQUEST_MAX bytes suffice. Its
 * length, or an error. */
int32_t ringfort_certificate_request(const ringfort_port *port, const uint8_t *public_key,
                                     uint8_t *out, uint32_t capacity);

/* The version of the interface that the library was built with. */
uint32_t ringfort_abi(void);

/* Only where the library was built without `std`: the platform supplies it, for a defect of the
 * library. It stops or restarts the machine and does not return. */
void ringfort_panic(void);

#ifdef __cplusplus
}
#endif
#endif
