/* A non-secure application in C: calls secure services in Rust and in C, prints with newlib, and
   goes through several warm resets in one run. Built by arm-none-eabi-gcc without any option for
   TrustZone, linked with libringfort_ns.a. */
#include <stdio.h>
#include <string.h>

#include "psa/client.h"
#include "psa/update.h"
#include "psa_manifest/sid.h"

/* The second word of RAM: zero at power-on, kept over warm resets. */
#define KEPT (*(volatile uint32_t *)0x28200008)
#define RESETS 3

static int failed;

static void check(int holds, const char *what)
{
    printf("%s %s\n", holds ? "ok  " : "FAIL", what);
    failed |= !holds;
}

/* Ends the emulator: a test's application may, a product's may not. */
static void end(int code)
{
    fflush(stdout);
    volatile uint32_t block[2] = {0x20026, (uint32_t)code};
    register uint32_t operation __asm__("r0") = 0x20;
    register volatile uint32_t *argument __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
}

static void echo(void)
{
    char answer[16] = {0};
    psa_invec in = {"fifteen letters", 16};
    psa_outvec out = {answer, sizeof answer};
    psa_handle_t handle = psa_connect(ECHO_SID, ECHO_VERSION);
    check(PSA_HANDLE_IS_VALID(handle), "connects to a service in Rust");
    psa_status_t status = psa_call(handle, PSA_IPC_CALL, &in, 1, &out, 1);
    check(status == PSA_SUCCESS && out.len == 16 && strcmp(answer, "fifteen letters") == 0,
          "calls it and gets its answer");
    check(psa_call(handle, PSA_IPC_CALL, &in, 5, &out, 1) == PSA_ERROR_PROGRAMMER_ERROR,
          "is refused with five vectors");
    psa_close(handle);
    check(psa_call(handle, PSA_IPC_CALL, &in, 1, &out, 1) == PSA_ERROR_PROGRAMMER_ERROR,
          "is refused on a closed connection");
}

static void ticker(void)
{
    uint32_t wanted = 2, total = 0;
    psa_invec in = {&wanted, sizeof wanted};
    psa_outvec out = {&total, sizeof total};
    psa_status_t status = psa_call(TICKER_HANDLE, 0, &in, 1, &out, 1);
    check(status == PSA_SUCCESS && total == 102, "waits for an interrupt in a partition in C");
    check(psa_call(TICKER_HANDLE, 4, NULL, 0, NULL, 0) == PSA_SUCCESS, "whose heap works");
}

static void failure(void)
{
    uint32_t nothing = 0;
    psa_invec in = {&nothing, sizeof nothing};
    struct ringfort_failure record = {0, 0, 0, 0};
    check(psa_call(ROGUE_HANDLE, 8, &in, 1, NULL, 0) == PSA_ERROR_COMMUNICATION_FAILURE,
          "gets a status when a partition dies");
    check(ringfort_failure(&record, sizeof record) == PSA_SUCCESS && record.partition == 258 &&
              record.cause == 1 && record.count > 0,
          "learns who died and why");
}

static void update(void)
{
    psa_fwu_component_info_t info;
    memset(&info, 0xff, sizeof info);
    /* Without the boot loader there are no slots, and nothing to update. */
    psa_status_t status = psa_fwu_query(RINGFORT_FWU_RELEASE, &info);
    check(status == PSA_ERROR_DOES_NOT_EXIST, "asks for updates");
    check(psa_fwu_accept() == PSA_ERROR_DOES_NOT_EXIST, "has nothing to accept");
}

int main(void)
{
    uint32_t number = KEPT, kept = 0;
    psa_outvec out = {&kept, sizeof kept};
    printf("start %lu\n", (unsigned long)number);
    check(psa_framework_version() == PSA_FRAMEWORK_VERSION, "framework version");
    check(psa_version(ECHO_SID) == ECHO_VERSION && psa_version(PRIVATE_SID) == PSA_VERSION_NONE,
          "versions");
    echo();
    ticker();
    failure();
    update();
    check(psa_call(TICKER_HANDLE, 1, NULL, 0, &out, 1) == PSA_SUCCESS && kept == number + 1,
          "a partition's page is kept over the resets");
    if (failed) {
        end(1);
    }
    if (number < RESETS) {
        KEPT = number + 1;
        printf("asks for a reset\n");
        psa_call(TICKER_HANDLE, 2, NULL, 0, NULL, 0);
    }
    printf("end after %lu resets\n", (unsigned long)number);
    end(number == RESETS ? 0 : 2);
}
