/* A partition in C: a timer's registers and interrupt, and a page that a warm reset keeps.
   Type 0: waits for `n` ticks of the timer and answers how many there were in all.
   Type 1: adds one to a word in the page and answers with it.
   Type 2: the page is used up: resets the device.
   Type 4: whether its heap works. Type 5: frees what is none of its memory. */
#include <stdint.h>

#include "psa/lifecycle.h"
#include "psa/service.h"
#include "psa_manifest/ticker.h"
#include "ringfort/memory.h"

#define REGISTER(offset) (*(volatile uint32_t *)(TIMER1_BASE + (offset)))
#define CONTROL REGISTER(0)
#define VALUE REGISTER(4)
#define RELOAD REGISTER(8)
#define CLEAR REGISTER(12)

#define KEPT (*(volatile uint32_t *)RETAINED_PAGE_BASE)

static uint32_t total = 100;
static uint32_t pending;
static psa_msg_t waiting;

static void tick(void)
{
    CLEAR = 1;
    psa_eoi(TICK_SIGNAL);
    total++;
    if (pending != 0 && --pending == 0) {
        CONTROL = 0;
        psa_write(waiting.handle, 0, &total, sizeof total);
        psa_reply(waiting.handle, PSA_SUCCESS);
    }
}

/* 64 bytes in all: one block of them, or a few. */
static int heap_works(void)
{
    static const char zero[64];
    char *all = malloc(64);
    if (all == NULL || malloc(1) != NULL || memcmp(all, zero, 64) != 0) {
        return 0;
    }
    memset(all, 1, 64);
    free(all);
    char *one = malloc(8), *two = calloc(2, 4), *three = malloc(8);
    if (one == NULL || two == NULL || three == NULL || memcmp(all, zero, 8) != 0) {
        return 0;
    }
    memset(two, 2, 8);
    free(one);
    char *more = realloc(two, 16);
    if (more == NULL || more == two || memcmp(more, "\2\2\2\2\2\2\2\2\0\0\0\0\0\0\0", 16) != 0) {
        return 0;
    }
    free(three);
    free(more);
    all = malloc(64);
    int works = all != NULL && memcmp(all, zero, 64) == 0;
    free(all);
    return works;
}

static void serve(void)
{
    psa_msg_t msg;
    if (psa_get(TICKER_SIGNAL, &msg) != PSA_SUCCESS) {
        return;
    }
    if (msg.type == 0) {
        uint32_t count = 1;
        psa_read(msg.handle, 0, &count, sizeof count);
        if (count == 0 || pending != 0) {
            psa_reply(msg.handle, PSA_ERROR_INVALID_ARGUMENT);
            return;
        }
        waiting = msg;
        pending = count;
        RELOAD = 20000;
        VALUE = 20000;
        CONTROL = 9;
    } else if (msg.type == 1) {
        uint32_t kept = KEPT + 1;
        KEPT = kept;
        psa_write(msg.handle, 0, &kept, sizeof kept);
        psa_reply(msg.handle, PSA_SUCCESS);
    } else if (msg.type == 2) {
        ringfort_reset();
    } else if (msg.type == 3) {
        uint32_t state = psa_rot_lifecycle_state();
        psa_write(msg.handle, 0, &state, sizeof state);
        psa_reply(msg.handle, PSA_SUCCESS);
    } else if (msg.type == 4) {
        psa_reply(msg.handle, heap_works() ? PSA_SUCCESS : PSA_ERROR_INSUFFICIENT_MEMORY);
    } else if (msg.type == 5) {
        free(&total);
        psa_reply(msg.handle, PSA_SUCCESS);
    } else {
        psa_reply(msg.handle, PSA_ERROR_NOT_SUPPORTED);
    }
}

void partition_main(void)
{
    static const char hello[] = "partition in C";
    ringfort_print(hello, sizeof hello - 1);
    psa_irq_enable(TICK_SIGNAL);
    for (;;) {
        psa_signal_t signals = psa_wait(PSA_WAIT_ANY, PSA_BLOCK);
        if (signals & TICK_SIGNAL) {
            tick();
        }
        if (signals & TICKER_SIGNAL) {
            serve();
        }
    }
}
