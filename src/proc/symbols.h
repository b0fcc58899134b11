/* symbols.h - which function an address of this process belongs to, asked from a signal handler.
 *
 * The program's own symbol table is mapped beforehand, while its file can still be opened;
 * libraries have the names that they export, in memory. A program without its table (strip) gives
 * offsets, which addr2line turns into places with the file that has it. */
#ifndef CREW_PROC_SYMBOLS_H
#define CREW_PROC_SYMBOLS_H

#include "base/base.h"

/* Map the program's table. Nothing fails: without it there are fewer names. Again: nothing. */
void crew__symbols_open(void);
void crew__symbols_close(void);

/* "handle+0x12 (echo+0x1a2b)", "(echo+0x1a2b)", or "" when the address is in no file that is mapped
 * as a program or library. `is_return`: the place after a call, so the call is looked for.
 * Async-signal-safe: no lock, no memory, only what is mapped is read. */
void crew__symbols_name(uintptr_t address, bool is_return, char *text, size_t size);

#endif
