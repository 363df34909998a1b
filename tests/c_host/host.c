/* A device in C: flash is a file that behaves like NOR, the boot loader is a struct, TLS is curl.
 *
 *   host provision DIR DEVICE UEID VENDOR CLASS ANCHORS DIGEST
 *   host enrol DIR HUB        an operational key and its certificate, over EST by idevid.pem
 *   host run DIR TEXT...      until the next update has ended; TEXT fails the health check
 *   host medium DIR MEDIUM    the same for an order that a technician brought; there is no hub
 *   host spare DIR            every newer version of the anchors from the spare address
 *   host request DIR PUBLIC   a certificate request; the signature comes from openssl
 *
 * DIR holds server-ca.pem, and idevid.pem with its key until ldevid.pem is there with its own. */
#include "ringfort_device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ERASE = 4096, UNIT = 16, STATE_SIZE = 4 * ERASE, ANCHORS_SIZE = 6 * ERASE, SLOT_SIZE = 64 * ERASE };

static const uint32_t sizes[4] = {STATE_SIZE, ANCHORS_SIZE, SLOT_SIZE, SLOT_SIZE};
static uint8_t flash[STATE_SIZE + ANCHORS_SIZE + 2 * SLOT_SIZE];
static const char *directory;
static const char *sick;
static const char *medium; /* in the place of the hub */
static int rebooted;

/* What a boot loader keeps: the slot that stays, the one on trial with its tries left. */
static struct { uint32_t stays, trial, tries, booted; } boot;

static void die(const char *what) {
    fprintf(stderr, "host: %s\n", what);
    exit(2);
}

static char *path(const char *name) {
    static char text[512];
    snprintf(text, sizeof text, "%s/%s", directory, name);
    return text;
}

static void save(void) {
    FILE *file = fopen(path("flash"), "wb");
    if (!file || fwrite(flash, sizeof flash, 1, file) != 1 ||
        fwrite(&boot, sizeof boot, 1, file) != 1 || fclose(file)) die("flash is not written");
}

static void load(void) {
    FILE *file = fopen(path("flash"), "rb");
    if (!file || fread(flash, sizeof flash, 1, file) != 1 ||
        fread(&boot, sizeof boot, 1, file) != 1) die("flash is not read");
    fclose(file);
}

static uint8_t *place(uint32_t area, uint32_t offset, uint32_t length) {
    uint32_t base = 0;
    if (area > 3 || offset > sizes[area] || length > sizes[area] - offset) die("outside of the area");
    for (uint32_t before = 0; before < area; before++) base += sizes[before];
    return flash + base + offset;
}

static int32_t flash_read(void *context, uint32_t area, uint32_t offset, uint8_t *bytes, uint32_t length) {
    (void)context;
    memcpy(bytes, place(area, offset, length), length);
    return 0;
}

static int32_t flash_erase(void *context, uint32_t area, uint32_t offset, uint32_t length) {
    (void)context;
    if (offset % ERASE || length % ERASE) die("not whole blocks");
    if (area == RINGFORT_AREA_SLOT_A + boot.booted) die("the running slot is erased");
    memset(place(area, offset, length), 0xff, length);
    save();
    return 0;
}

static int32_t flash_program(void *context, uint32_t area, uint32_t offset, const uint8_t *bytes, uint32_t length) {
    (void)context;
    if (offset % UNIT || length % UNIT) die("not whole units");
    uint8_t *to = place(area, offset, length);
    for (uint32_t i = 0; i < length; i++) {
        if (to[i] != 0xff) die("programmed without being erased");
        to[i] = bytes[i];
    }
    save();
    return 0;
}

static int32_t fill_random(void *context, uint8_t *bytes, uint32_t length) {
    (void)context;
    return getrandom(bytes, length, 0) == (ssize_t)length ? 0 : -1;
}

/* One integer of an ECDSA signature in DER, as 32 bytes. */
static const uint8_t *integer(const uint8_t *der, uint8_t *out) {
    uint32_t length = der[1];
    const uint8_t *number = der + 2;
    while (length > 32) number++, length--;
    memset(out, 0, 32);
    memcpy(out + 32 - length, number, length);
    return der + 2 + der[1];
}

static int32_t sign(void *context, const uint8_t *message, uint32_t length, uint8_t *signature) {
    (void)context;
    char command[1200];
    uint8_t der[80];
    FILE *file = fopen(path("message"), "wb");
    if (!file || fwrite(message, 1, length, file) != length || fclose(file)) return -1;
    snprintf(command, sizeof command, "openssl dgst -sha256 -sign %s/new.key %s/message", directory, directory);
    FILE *pipe = popen(command, "r");
    if (!pipe) return -1;
    size_t got = fread(der, 1, sizeof der, pipe);
    if (pclose(pipe) || got < 8) return -1;
    integer(integer(der + 2, signature), signature + 32);
    return 0;
}

/* A part of a file; all of it where there is no range. */
static int32_t read_part(const char *name, const ringfort_request *request, uint8_t *body, uint32_t capacity, ringfort_answer *answer) {
    uint32_t want = request->has_range ? request->range_last - request->range_first + 1 : capacity;
    FILE *file = fopen(name, "rb");
    if (!file) return -1;
    if (want > capacity || (request->has_range && fseek(file, (long)request->range_first, SEEK_SET))) want = 0;
    answer->length = (uint32_t)fread(body, 1, want, file);
    answer->status = request->has_range ? 206 : 200;
    return fclose(file) || !answer->length ? -1 : 0;
}

static int32_t from_medium(const ringfort_request *request, uint8_t *body, uint32_t capacity, ringfort_answer *answer) {
    char name[768];
    if (request->method != RINGFORT_GET) return -1;
    if (!strncmp(request->path, "/v1/manifests/", 14)) snprintf(name, sizeof name, "%s/release/release.suit", medium);
    else if (!strncmp(request->path, "/v1/objects/", 12)) snprintf(name, sizeof name, "%s/release/objects/%s", medium, request->path + 12);
    else return -1;
    return read_part(name, request, body, capacity, answer);
}

static int32_t exchange(void *context, const ringfort_request *request, uint8_t *body, uint32_t capacity, ringfort_answer *answer) {
    (void)context;
    if (medium) return from_medium(request, body, capacity, answer);
    char command[4096], range[64] = "", post[640] = "";
    if (request->has_range)
        snprintf(range, sizeof range, "--range %u-%u", request->range_first, request->range_last);
    if (request->method == RINGFORT_POST) {
        FILE *file = fopen(path("body"), "wb");
        if (!file || fwrite(request->body, 1, request->body_length, file) != request->body_length || fclose(file)) return -1;
        snprintf(post, sizeof post, "--header content-type:application/cbor --data-binary @%s", path("body"));
    }
    snprintf(command, sizeof command,
             "curl --silent --show-error --noproxy '*' --tlsv1.3 --cacert %s/server-ca.pem --cert %s/ldevid.pem "
             "--key %s/ldevid.key %s %s --output %s/answer --write-out '%%{http_code}' %s%s",
             directory, directory, directory, range, post, directory, request->hub, request->path);
    remove(path("answer"));
    FILE *pipe = popen(command, "r");
    if (!pipe || fscanf(pipe, "%u", &answer->status) != 1 || pclose(pipe)) return -1;
    FILE *file = fopen(path("answer"), "rb");
    answer->length = 0;
    if (!file) return 0; /* an answer without a body */
    answer->length = (uint32_t)fread(body, 1, capacity, file);
    int more = fgetc(file) != EOF;
    fclose(file);
    return more ? -1 : 0;
}

static int32_t activate(void *context, uint32_t slot) {
    (void)context;
    boot.trial = slot;
    boot.tries = 2;
    save();
    return 0;
}

static int32_t confirm(void *context, uint32_t slot) {
    (void)context;
    boot.stays = slot;
    boot.trial = RINGFORT_SLOT_NONE;
    save();
    return 0;
}

static int32_t current(void *context) {
    (void)context;
    return (int32_t)boot.booted;
}

static int32_t destroy(void *context, uint32_t what) {
    (void)context;
    printf("destroyed %u\n", what);
    return 0;
}

static void reboot(void *context) {
    (void)context;
    rebooted = 1;
}

static uint64_t uptime_seconds(void *context) {
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static void note(void *context, uint32_t severity, const char *text) {
    (void)context;
    printf("log %u %s\n", severity, text);
}

static void restart(void) {
    rebooted = 0;
    boot.booted = boot.stays;
    if (boot.trial != RINGFORT_SLOT_NONE) {
        if (boot.tries) boot.tries--, boot.booted = boot.trial;
        else boot.trial = RINGFORT_SLOT_NONE;
    }
    save();
}

static void hex(const char *text, uint8_t *out, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (sscanf(text + 2 * i, "%2hhx", &out[i]) != 1) die("not hexadecimal");
}

static void show(ringfort_device *device) {
    ringfort_status status;
    if (ringfort_get_status(device, &status)) die("no status");
    printf("status update=%u active=%u floor=%llu reason=%s\n", status.update, status.active_slot,
           (unsigned long long)status.floor, status.reason);
}

static uint32_t read_file(const char *folder, const char *name, uint8_t *bytes, uint32_t capacity) {
    char text[768];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    FILE *file = fopen(text, "rb");
    if (!file) return 0;
    uint32_t length = (uint32_t)fread(bytes, 1, capacity, file);
    fclose(file);
    return length;
}

static const ringfort_settings settings = {1, 2, RINGFORT_KEYS_SECURE_ELEMENT, 1};

static void run(const char *format, ...) {
    char command[4096];
    va_list words;
    va_start(words, format);
    vsnprintf(command, sizeof command, format, words);
    va_end(words);
    if (system(command)) die(command);
}

/* A new operational key, a request for it by the library, EST (RFC 7030) with the factory identity. */
static void enrol(const ringfort_port *port, const char *hub) {
    uint8_t public[128], request[RINGFORT_REQUEST_MAX];
    run("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out %s/new.key 2>/dev/null", directory);
    run("openssl pkey -in %s/new.key -pubout -outform DER -out %s/public.der", directory, directory);
    uint32_t got = read_file(directory, "public.der", public, sizeof public);
    if (got < 65) die("no public key");
    int32_t length = ringfort_certificate_request(port, public + got - 65, request, sizeof request);
    if (length < 0) die("no request");
    FILE *file = fopen(path("request.der"), "wb");
    if (!file || fwrite(request, 1, (size_t)length, file) != (size_t)length || fclose(file)) die("not written");
    run("openssl base64 -in %s/request.der | curl --silent --show-error --fail-with-body --noproxy '*' "
        "--header content-type:application/pkcs10 --header content-transfer-encoding:base64 --data-binary @- "
        "--cacert %s/server-ca.pem --cert %s/idevid.pem --key %s/idevid.key --output %s/enrolled %s/.well-known/est/simpleenroll",
        directory, directory, directory, directory, directory, hub);
    run("openssl base64 -d -in %s/enrolled | openssl pkcs7 -inform DER -print_certs -out %s/ldevid.pem", directory, directory);
    run("mv %s/new.key %s/ldevid.key", directory, directory);
    printf("enrolled\n");
}

/* The spare address, which nobody has to trust. */
static void ask_spare(ringfort_device *device) {
    static uint8_t document[8192];
    char spare[256];
    ringfort_status status;
    if (ringfort_get_spare(device, spare, sizeof spare)) die("no spare address");
    for (;;) {
        if (ringfort_get_status(device, &status)) die("no status");
        printf("anchors %llu\n", (unsigned long long)status.anchors);
        run("curl --silent --insecure --noproxy '*' --output %s/next.cbor --write-out '%%{http_code}' %s/%llu.cbor > %s/code",
            directory, spare, (unsigned long long)status.anchors + 1, directory);
        uint8_t code[8] = {0};
        read_file(directory, "code", code, 3);
        if (strcmp((char *)code, "200")) return;
        uint64_t before = status.anchors;
        uint32_t length = read_file(directory, "next.cbor", document, sizeof document);
        int32_t taken = ringfort_take_anchors(device, document, length);
        if (taken < 0 || ringfort_get_status(device, &status)) die("anchors were not taken up");
        if (status.anchors == before) {
            printf("not taken\n");
            return;
        }
    }
}

/* One life of the machine: until it restarts or an update has ended. Returns whether one has. */
static int live(ringfort_device *device, const ringfort_port *port) {
    int32_t condition = ringfort_start(device, port, &settings);
    uint64_t ended = 0;
    for (int polls = 0; polls < 6; polls++) {
        if (condition == RINGFORT_ON_TRIAL) {
            printf("trial in slot %u\n", boot.booted);
            condition = ringfort_health(device, sick);
        }
        if (condition == RINGFORT_REBOOTING) {
            if (!rebooted || ringfort_poll(device) != RINGFORT_E_ARGUMENT) die("polled while rebooting");
            return 0;
        }
        if (condition < 0) {
            printf("error %d\n", condition);
            return 1;
        }
        ringfort_status status;
        if (ringfort_get_status(device, &status)) die("no status");
        if (status.update >= RINGFORT_UPDATE_CONFIRMED && ended == status.order) return 1;
        if (status.update >= RINGFORT_UPDATE_CONFIRMED) ended = status.order;
        if (!medium) {
            condition = ringfort_poll(device);
            continue;
        }
        static uint8_t order[4096], command[4096];
        uint32_t length = read_file(medium, "order", order, sizeof order);
        uint32_t named = read_file(medium, "command", command, sizeof command);
        condition = ringfort_offline_order(device, order, length, named ? command : NULL, named);
    }
    return 1;
}

int main(int count, char **arguments) {
    if (count < 3 || ringfort_abi() != RINGFORT_ABI) die("wrong use");
    directory = arguments[2];
    const ringfort_port port = {
        RINGFORT_ABI,
        {{STATE_SIZE, ERASE, UNIT}, {ANCHORS_SIZE, ERASE, UNIT}, {SLOT_SIZE, ERASE, UNIT}, {SLOT_SIZE, ERASE, UNIT}},
        NULL, flash_read, flash_erase, flash_program, fill_random, sign, exchange, activate, confirm,
        current, destroy, reboot, uptime_seconds, note,
    };
    static ringfort_device device;
    if (!strcmp(arguments[1], "provision") && count == 9) {
        static uint8_t anchors[8192], digest[32];
        ringfort_identity identity = {arguments[3], {0}, {0}, {0}};
        hex(arguments[4], identity.ueid, 17);
        hex(arguments[5], identity.vendor, 16);
        hex(arguments[6], identity.class_id, 16);
        FILE *file = fopen(arguments[7], "rb");
        if (!file) die("no anchors");
        uint32_t length = (uint32_t)fread(anchors, 1, sizeof anchors, file);
        fclose(file);
        hex(arguments[8], digest, 32);
        memset(flash, 0xff, sizeof flash);
        boot.stays = boot.booted = RINGFORT_SLOT_A;
        boot.trial = RINGFORT_SLOT_NONE;
        int32_t done = ringfort_provision(&port, &identity, anchors, length, digest);
        printf("provisioned %d\n", done);
        return done ? 1 : 0;
    }
    if (!strcmp(arguments[1], "enrol") && count == 4) {
        enrol(&port, arguments[3]);
        return 0;
    }
    if (!strcmp(arguments[1], "spare")) {
        load();
        restart();
        if (ringfort_start(&device, &port, &settings)) die("not started");
        ask_spare(&device);
        return 0;
    }
    if (!strcmp(arguments[1], "run") || (!strcmp(arguments[1], "medium") && count == 4)) {
        load();
        if (*arguments[1] == 'm') medium = arguments[3];
        else sick = count > 3 ? arguments[3] : NULL;
        for (int lives = 0; lives < 8; lives++) {
            restart();
            if (!live(&device, &port)) {
                printf("restart\n");
                continue;
            }
            show(&device);
            return 0;
        }
        die("it restarts for ever");
    }
    if (!strcmp(arguments[1], "request") && count == 4) {
        uint8_t key[65], request[RINGFORT_REQUEST_MAX];
        hex(arguments[3], key, 65);
        int32_t length = ringfort_certificate_request(&port, key, request, sizeof request);
        if (length < 0) die("no request");
        FILE *file = fopen(path("request.der"), "wb");
        if (!file || fwrite(request, 1, (size_t)length, file) != (size_t)length || fclose(file)) die("not written");
        return 0;
    }
    die("wrong use");
    return 2;
}
