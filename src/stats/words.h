/* words.h - what a worker leaves of itself beside its numbers: where it stood when it died, and
 * where it stood when its master asked.
 *
 * It lies on pages of its own at the end of the segment, which cost nothing until they are written.
 * The worker writes it from signal handlers (proc/last_words.c, proc/asked.c); whoever reads it
 * takes a copy by the functions here, and believes nothing. */
#ifndef CREW_STATS_WORDS_H
#define CREW_STATS_WORDS_H

#include "base/base.h"

#include <stdatomic.h>

enum {
	CREW__FRAMES = 32,     /* of a stack: the innermost */
	CREW__FRAME_MAX = 116, /* bytes of a frame as text, the end included */
};

/* One place of a stack. */
struct crew__frame {
	uint64_t address;
	uint32_t times;             /* in a row: a function that calls itself */
	char name[CREW__FRAME_MAX]; /* "handle+0x12 (echo+0x1a2b)"; "" when no name was found */
};

/* Where a thread stood, innermost first. `serial` is written last, another one each time, never 0;
 * while the stack is being written it is 0. */
struct crew__stack {
	_Atomic uint32_t serial;
	uint32_t frames;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	int32_t thread;
	uint32_t reserved;
	struct crew__frame frame[CREW__FRAMES];
};

/* How far a dying process got; each step stands without the next. */
enum crew__said {
	CREW__SAID_NOTHING,
	CREW__SAID_WHAT,  /* the signal and what belongs to it */
	CREW__SAID_WHERE, /* the addresses of its stack as well */
	CREW__SAID_ALL,   /* and their names */
};

/* The signal that a process died of, as siginfo_t has it. */
struct crew__fault {
	int32_t signal, code;
	int32_t sender;      /* pid; 0: the kernel, because of what the process did */
	uint32_t sender_uid; /* valid with a sender */
	uint64_t address;    /* of SIGSEGV, SIGBUS, SIGILL, SIGFPE; of SIGSYS the call's number */
	uint32_t overflow;   /* 1: the address lies where the stack would have grown */
	uint32_t reserved;
};

struct crew__words {
	_Atomic uint32_t said; /* enum crew__said */
	uint32_t reserved;
	struct crew__fault fault;
	struct crew__stack dying;
	struct crew__stack asked;
};

/* A copy of a stack that somebody else writes: counts are within their arrays, names are printable
 * ASCII and end. False: there is none, or it was being written. */
bool crew__stack_copy(const struct crew__stack *from, struct crew__stack *ret_copy);

/* The same of what a dead process has left; whatever it did not get to is zeros. Returns how far it
 * got. */
enum crew__said crew__words_copy(const struct crew__words *from, struct crew__fault *ret_fault,
	struct crew__stack *ret_stack);

/* "invalid address 0x8 (nothing is there)", "sent by pid 12 (uid 0)", ... in words; `pid` is whose
 * fault it was. "" when there is nothing to say. */
void crew__fault_text(const struct crew__fault *fault, int32_t pid, char *text, size_t size);

/* "handle+0x12 (echo+0x1a2b)", or the address where there is no name; ", 12 times" when it was. */
enum {
	CREW__FRAME_TEXT_MAX = CREW__FRAME_MAX + 20
};
const char *crew__frame_text(const struct crew__frame *frame, char text[CREW__FRAME_TEXT_MAX]);

/* "spin < handle < on_message": the innermost functions up to the loop, as many as fit; a library
 * without names by its own. "" for no stack. */
void crew__stack_text(const struct crew__stack *stack, char *text, size_t size);

#endif
