/* top.c - the live screen: a look each second, keys between, and the terminal given back at every
 * end.
 *
 * Not here: what is seen (top_model.c), what keys mean (top_keys.c), how it is drawn (top_draw.c),
 * the terminal (top_term.c), `top` without one (top_plain.c). */
#include "base/clock.h"
#include "cli/command.h"
#include "cli/explain.h"
#include "cli/top_draw.h"
#include "cli/top_kick.h"
#include "cli/top_plain.h"
#include "cli/top_term.h"
#include "cli/view_parts.h"
#include "cli/when.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	ESCAPE_MS = 50,   /* the rest of a key's bytes comes sooner than that, or not at all */
	TIME_DIGITS = 19, /* of a moment: without its milliseconds */
};

struct top {
	const struct crew__view *view;
	struct crew__terminal terminal;
	struct crew__top_state state;
	struct crew__top_look *look; /* the last that came about */
	struct crew__top_kick kick;
	int signals;     /* signalfd */
	uint64_t due_ns; /* the next look */
	bool over;
};

/* ---- looking ------------------------------------------------------------------------------- */

static void tell_trouble(struct top *top, int error, const char *text)
{
	struct crew__top_state *state = &top->state;
	char when[CREW__WHEN_MAX];
	if (error != -ESRCH) {
		crew__screen_clean(state->trouble, sizeof(state->trouble), text, strlen(text));
	} else if (!state->trouble[0]) {
		crew__when_local(crew__when_now(), when);
		snprintf(state->trouble, sizeof(state->trouble),
			"%s stopped, seen at %.*s; these are its last numbers, waiting for it to "
			"run again",
			top->view->settings->name, TIME_DIGITS, when);
	}
}

static void look_again(struct top *top)
{
	struct crew__top_look *look;
	char text[CREW__VIEW_LINE_MAX];
	int error = crew__top_take(
		top->view, &top->state.order, top->look, &look, text, sizeof(text));
	top->due_ns = crew__clock_ns() + CREW__NS_PER_S;
	if (error) {
		tell_trouble(top, error, text);
		return;
	}
	if (top->look && top->look->status->master != look->status->master)
		crew__top_say(&top->state, false, "started anew");
	top->state.trouble[0] = '\0';
	crew__top_look_free(top->look);
	top->look = look;
	crew__top_rows_changed(&top->state, look);
}

static void explain_into(
	struct top *top, const struct crew__attached *attached, struct crew__screen *screen)
{
	char prefix[17];
	snprintf(prefix, sizeof(prefix), "%016" PRIx64, top->state.subject);
	struct crew__explain_request request = {
		.attached = attached, .settings = top->view->settings, .prefix = prefix
	};
	/* What cannot be explained says so in the same place. */
	if (crew__explain_text(&request, screen) == -ENOMEM)
		fputs("no memory for the explanation\n", screen->out);
}

/* The text of the subject as it stands now. While nothing runs the last one stays. */
static void describe(struct top *top)
{
	struct crew__attached attached;
	const struct crew__settings *settings = top->view->settings;
	struct crew__page page;
	char error[CREW__VIEW_LINE_MAX], *text = NULL;
	size_t size = 0;
	if (crew__terminal_page(&top->terminal, &page))
		return;
	struct crew__screen screen = { .width = page.columns > 2 ? page.columns - 2 : 1 };
	crew__page_fini(&page);
	if (crew__attach(settings->run_dir, settings->name, &attached, error, sizeof(error)))
		return;
	screen.out = open_memstream(&text, &size);
	if (screen.out)
		explain_into(top, &attached, &screen);
	crew__attach_fini(&attached);
	if (!screen.out || fclose(screen.out))
		return;
	free(top->state.explanation);
	top->state.explanation = text;
}

static void look_all(struct top *top)
{
	look_again(top);
	if (top->state.mode == CREW__TOP_EXPLAIN)
		describe(top);
}

/* ---- acting -------------------------------------------------------------------------------- */

static void kick(struct top *top)
{
	int error = crew__top_kick_start(&top->kick, top->view->settings, top->state.subject);
	char text[CREW__TOP_MESSAGE_MAX];
	if (!error)
		snprintf(text, sizeof(text), "kicking %s ...", top->state.subject_name);
	else if (error == -EBUSY)
		snprintf(text, sizeof(text), "the kick before is still under way");
	else
		snprintf(text, sizeof(text), "cannot kick: %s", strerror(-error));
	crew__top_say(&top->state, error != 0, text);
}

static void hear_of_kick(struct top *top)
{
	int status;
	if (!crew__top_kick_read(&top->kick, &status))
		return;
	crew__top_say(&top->state, status != CREW__DONE, top->kick.text);
	if (!top->state.paused)
		look_all(top);
}

static void act(struct top *top, enum crew__top_action action)
{
	switch (action) {
	case CREW__TOP_DRAW:
		break;
	case CREW__TOP_LOOK:
		look_all(top);
		break;
	case CREW__TOP_ARRANGE:
		if (top->look) {
			crew__top_look_arrange(top->look, &top->state.order);
			crew__top_rows_changed(&top->state, top->look);
		}
		break;
	case CREW__TOP_DESCRIBE:
		describe(top);
		break;
	case CREW__TOP_KICK:
		kick(top);
		break;
	case CREW__TOP_QUIT:
		top->over = true;
		break;
	}
}

/* ---- signals and keys ---------------------------------------------------------------------- */

/* Ctrl+Z: the shell gets its terminal, and we get it back when we are continued. */
static void stop_ourselves(struct top *top)
{
	sigset_t stop;
	crew__terminal_leave(&top->terminal);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL); /* it stops here */
	sigprocmask(SIG_BLOCK, &stop, NULL);
}

/* Whoever had the terminal meanwhile may have left it in any state. */
static void take_again(struct top *top)
{
	crew__terminal_leave(&top->terminal);
	if (crew__terminal_take(&top->terminal))
		top->over = true;
}

static void take_signal(struct top *top)
{
	struct signalfd_siginfo info;
	if (read(top->signals, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGWINCH:
		if (top->state.mode == CREW__TOP_EXPLAIN)
			describe(top);
		break;
	case SIGTSTP:
		stop_ourselves(top);
		take_again(top);
		break;
	case SIGCONT:
		take_again(top);
		break;
	default:
		top->over = true;
	}
}

static void take_keys(struct top *top, bool more)
{
	int key;
	while (!top->over && (key = crew__terminal_key(&top->terminal, more)) != CREW__KEY_NONE)
		act(top, crew__top_press(&top->state, top->look, key));
}

static void draw(struct top *top)
{
	struct crew__page page;
	if (crew__terminal_page(&top->terminal, &page))
		return; /* the screen stays as it is */
	crew__top_draw(&page, &top->state, top->look);
	int error = crew__terminal_show(&top->terminal, &page);
	if (error && error != -EINTR && error != -ENOMEM && error != -ENOBUFS)
		top->over = true;
}

/* ---- the loop ------------------------------------------------------------------------------ */

static int patience_ms(const struct top *top)
{
	uint64_t now_ns = crew__clock_ns();
	if (top->terminal.typed_len > 0)
		return ESCAPE_MS;
	if (top->state.paused)
		return -1;
	return top->due_ns > now_ns ? (int)((top->due_ns - now_ns) / CREW__NS_PER_MS) + 1 : 0;
}

static void turn(struct top *top)
{
	struct pollfd ways[] = { { .fd = top->terminal.in, .events = POLLIN },
		{ .fd = top->signals, .events = POLLIN },
		{ .fd = top->kick.words, .events = POLLIN } };
	int ready = poll(ways, crew__lengthof(ways), patience_ms(top));
	if (ready < 0)
		return;
	if (ways[1].revents)
		take_signal(top);
	if (ways[2].revents)
		hear_of_kick(top);
	if (ways[0].revents && crew__terminal_read(&top->terminal))
		top->over = true;
	take_keys(top, ready > 0);
	if (!top->over && !top->state.paused && crew__clock_ns() >= top->due_ns)
		look_all(top);
}

static int open_signals(sigset_t *ret_old)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT,
		SIGWINCH };
	sigset_t signals;
	sigemptyset(&signals);
	for (size_t i = 0; i < crew__lengthof(numbers); i++)
		sigaddset(&signals, numbers[i]);
	sigprocmask(SIG_BLOCK, &signals, ret_old);
	int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int show(struct top *top)
{
	int error = crew__terminal_open(&top->terminal, top->signals);
	if (!error)
		error = crew__terminal_take(&top->terminal);
	while (!error && !top->over) {
		draw(top);
		if (!top->over)
			turn(top);
	}
	crew__terminal_close(&top->terminal);
	return error;
}

static int live(struct top *top)
{
	char text[CREW__VIEW_LINE_MAX];
	sigset_t old;
	int error = crew__top_take(
		top->view, &top->state.order, NULL, &top->look, text, sizeof(text));
	if (error)
		return crew__view_complain(top->view, text, crew__view_exit_status(error));
	top->due_ns = crew__clock_ns() + CREW__NS_PER_S;
	top->signals = error = open_signals(&old);
	if (error >= 0) {
		error = show(top);
		close(top->signals);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (!error)
		return CREW__DONE;
	snprintf(text, sizeof(text),
		"cannot use the terminal: %s; without one it prints plain "
		"text ('top | cat')",
		strerror(-error));
	return crew__view_complain(top->view, text, CREW__FAILED);
}

static bool order_of(
	const struct crew__view *view, struct crew__top_order *ret_order, const char **ret_nearest)
{
	*ret_order = (struct crew__top_order){ .by = CREW__TOP_BY_SLOWNESS };
	if (!view->sort)
		return true;
	ret_order->by = CREW__TOP_BY_FIELD;
	ret_order->field = crew__connection_field_find(view->sort, ret_nearest);
	return ret_order->field;
}

int crew__view_top(const struct crew__view *view)
{
	struct top top = { .view = view };
	const char *nearest;
	if (!order_of(view, &top.state.order, &nearest))
		return crew__view_unknown_key(view, "connections", nearest);
	if (view->json || !crew__terminal_there())
		return crew__top_plain(view, &top.state.order);
	crew__top_kick_init(&top.kick);
	int exit_status = live(&top);
	crew__top_kick_fini(&top.kick);
	crew__top_state_fini(&top.state);
	crew__top_look_free(top.look);
	return exit_status;
}
