/* Start of a non-secure application in C: vectors, data, and newlib's system calls, of which only
   the output on UART1 does something. */
#include <stdint.h>
#include <sys/stat.h>

extern uint32_t __data_load, __data_start, __data_end, __bss_start, __bss_end, __stack_top;
extern uint32_t __heap_start;
int main(void);

#define UART1 0x40201000u
#define REGISTER(base, offset) (*(volatile uint32_t *)((base) + (offset)))

void reset(void);
static void trap(void);

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &__stack_top, (void *)reset, (void *)trap, (void *)trap, (void *)trap, (void *)trap,
    (void *)trap, (void *)trap,  (void *)trap, (void *)trap, (void *)trap, (void *)trap,
    (void *)trap, (void *)trap,  (void *)trap, (void *)trap,
};

void reset(void)
{
    uint32_t *from = &__data_load;
    for (uint32_t *to = &__data_start; to < &__data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = &__bss_start; to < &__bss_end;) {
        *to++ = 0;
    }
    REGISTER(UART1, 16) = 16;
    REGISTER(UART1, 8) = 1;
    main();
    trap();
}

static void trap(void)
{
    for (;;) {
    }
}

int _write(int file, const char *text, int len)
{
    (void)file;
    for (int i = 0; i < len; i++) {
        while (REGISTER(UART1, 4) & 1) {
        }
        REGISTER(UART1, 0) = (uint8_t)text[i];
    }
    return len;
}

void *_sbrk(int bytes)
{
    static char *top;
    if (top == 0) {
        top = (char *)&__heap_start;
    }
    char *before = top;
    top += bytes;
    return before;
}

int _close(int file)
{
    (void)file;
    return -1;
}

int _fstat(int file, struct stat *about)
{
    (void)file;
    about->st_mode = S_IFCHR;
    return 0;
}

int _isatty(int file)
{
    (void)file;
    return 1;
}

int _lseek(int file, int offset, int from)
{
    (void)file;
    (void)offset;
    (void)from;
    return 0;
}

int _read(int file, char *to, int len)
{
    (void)file;
    (void)to;
    (void)len;
    return 0;
}

void _exit(int code)
{
    (void)code;
    trap();
    __builtin_unreachable();
}

int _kill(int id, int signal)
{
    (void)id;
    (void)signal;
    return -1;
}

int _getpid(void)
{
    return 1;
}
