/* stack.c - the walk. Everything here runs in signal handlers, on whatever stack they have. */
#include "proc/stack.h"

#include "base/clock.h"
#include "proc/symbols.h"

#include <setjmp.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum {
	STEPS_MAX = 1 << 16 /* through a function that calls itself */
};

/* One walk at a time: that of the thread `owner`. */
static struct {
	_Atomic pid_t owner; /* 0: nobody walks */
	sigjmp_buf back;
} guard;

void crew__stack_escape(void)
{
	if (atomic_load(&guard.owner) == gettid())
		siglongjmp(guard.back, 1);
}

static bool enter(void)
{
	pid_t nobody = 0;
	return atomic_compare_exchange_strong(&guard.owner, &nobody, gettid());
}

static void leave(void)
{
	atomic_store(&guard.owner, 0);
}

/* ---- the interrupted place ----------------------------------------------------------------- */

uintptr_t crew__stack_pc(const void *context)
{
	const ucontext_t *at = context;
#if defined(__x86_64__)
	return (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)at->uc_mcontext.pc;
#else
	(void)at;
	return 0;
#endif
}

uintptr_t crew__stack_pointer(const void *context)
{
	const ucontext_t *at = context;
#if defined(__x86_64__)
	return (uintptr_t)at->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	return (uintptr_t)at->uc_mcontext.sp;
#else
	(void)at;
	return 0;
#endif
}

/* After a call to where no function is, nothing is known of the place but who called it. */
static uintptr_t caller_of(const void *context)
{
	const ucontext_t *at = context;
#if defined(__x86_64__)
	return *(const uintptr_t *)at->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	return (uintptr_t)at->uc_mcontext.regs[30];
#else
	(void)at;
	return 0;
#endif
}

/* ---- addresses ----------------------------------------------------------------------------- */

struct walk {
	struct crew__stack *stack;
	uintptr_t pc;
	bool found; /* the handler's own frames are behind us */
	unsigned steps;
};

static void add_frame(struct crew__stack *stack, uintptr_t address)
{
	struct crew__frame *frame = &stack->frame[stack->frames];
	if (stack->frames > 0 && frame[-1].address == address) {
		frame[-1].times++;
		return;
	}
	if (stack->frames == CREW__FRAMES)
		return;
	*frame = (struct crew__frame){ .address = address, .times = 1 };
	stack->frames++;
}

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	int is_interrupted = 0;
	uintptr_t address = _Unwind_GetIPInfo(context, &is_interrupted);
	walk->found = walk->found || address == walk->pc;
	if (walk->found && address)
		add_frame(walk->stack, address);
	bool enough = walk->stack->frames == CREW__FRAMES || ++walk->steps == STEPS_MAX;
	return enough ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static _Unwind_Reason_Code visit_nothing(struct _Unwind_Context *context, void *arg)
{
	(void)context;
	(void)arg;
	return _URC_END_OF_STACK;
}

void crew__stack_warm(void)
{
	(void)_Unwind_Backtrace(visit_nothing, NULL);
}

void crew__stack_take(struct crew__stack *stack, const void *context)
{
	struct walk walk = { .stack = stack, .pc = crew__stack_pc(context) };
	atomic_store_explicit(&stack->serial, 0, memory_order_release);
	stack->frames = 0;
	stack->thread = gettid();
	stack->time_ns = crew__clock_ns();
	if (enter()) {
		if (sigsetjmp(guard.back, 0) == 0)
			_Unwind_Backtrace(visit, &walk);
		leave();
	}
	if (stack->frames == 0 && walk.pc)
		add_frame(stack, walk.pc);
	if (stack->frames == 1 && enter()) {
		if (sigsetjmp(guard.back, 0) == 0)
			add_frame(stack, caller_of(context));
		leave();
	}
}

/* ---- names --------------------------------------------------------------------------------- */

void crew__stack_name(struct crew__stack *stack)
{
	/* What is named is kept where a jump back cannot lose it. */
	static volatile uint32_t next;
	if (!enter())
		return;
	next = 0;
	(void)sigsetjmp(guard.back, 0); /* after a fault: on with the next */
	while (next < stack->frames) {
		struct crew__frame *frame = &stack->frame[next];
		bool is_return = next++ > 0;
		crew__symbols_name(
			(uintptr_t)frame->address, is_return, frame->name, sizeof(frame->name));
	}
	leave();
}
