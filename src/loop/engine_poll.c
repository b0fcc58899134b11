/* engine_poll.c - poll(2): for kernels without epoll, and to check the other engine against.
 *
 * Entry i is polls[i] with its source in sources[i]; places[fd] is i + 1, or 0 for a descriptor
 * that is not watched. While a batch is handled no entry moves: a removed one stays as a hole (fd
 * -1, which poll ignores) until the batch is done, a new one is appended. Otherwise there is no
 * hole. CREW__SHARED means nothing here: all processes wake. */
#include "loop/engine.h"

#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0
#else
_Static_assert(POLLRDHUP == 0x2000, "a bit that crew__engine_events knows");
#endif
_Static_assert(
	POLLIN == 0x1 && POLLOUT == 0x4 && POLLERR == 0x8 && POLLHUP == 0x10 && POLLNVAL == 0x20,
	"the bits that crew__engine_events knows");

enum {
	FIRST_ROOM = 64
};

struct poll_engine {
	struct crew__engine engine;
	struct pollfd *polls;
	struct crew__source **sources;
	uint32_t *places;
	uint32_t count, room; /* of polls and sources */
	uint32_t holes;
	uint32_t places_room; /* descriptors below it have a place */
	int ready;            /* entries of the batch that are not yet handled */
	bool dispatching;
};

static struct poll_engine *mine(struct crew__engine *engine)
{
	return crew__container_of(engine, struct poll_engine, engine);
}

static int open_poll(struct crew__engine **ret_engine)
{
	struct poll_engine *e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->engine.ops = &crew__engine_poll;
	*ret_engine = &e->engine;
	return 0;
}

static void close_poll(struct crew__engine *engine)
{
	struct poll_engine *e = mine(engine);
	free(e->polls);
	free(e->sources);
	free(e->places);
	free(e);
}

/* One of two arrays may have grown when the other could not: harmless, `room` is the smaller. */
static int grow_entries(struct poll_engine *e)
{
	uint32_t room = e->room > 0 ? e->room * 2 : FIRST_ROOM;
	struct pollfd *polls = reallocarray(e->polls, room, sizeof(*polls));
	if (!polls)
		return -ENOMEM;
	e->polls = polls;
	struct crew__source **sources = reallocarray(
		e->sources, room, sizeof(struct crew__source *));
	if (!sources)
		return -ENOMEM;
	e->sources = sources;
	e->room = room;
	return 0;
}

/* Descriptors are small numbers: the table is as long as the process may have descriptors. */
static int grow_places(struct poll_engine *e, int fd)
{
	uint32_t room = e->places_room > 0 ? e->places_room : FIRST_ROOM;
	while (room <= (uint32_t)fd)
		room *= 2;
	uint32_t *places = reallocarray(e->places, room, sizeof(*places));
	if (!places)
		return -ENOMEM;
	memset(places + e->places_room, 0, (room - e->places_room) * sizeof(*places));
	e->places = places;
	e->places_room = room;
	return 0;
}

/* poll() calls a plain file always ready; epoll refuses it, and so must we. */
static int check_kind(int fd)
{
	struct stat stat;
	if (fstat(fd, &stat) < 0)
		return -errno;
	return S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode) ? -EPERM : 0;
}

static int make_room(struct poll_engine *e, int fd)
{
	int error = 0;
	if (e->count == e->room)
		error = grow_entries(e);
	if (!error && (uint32_t)fd >= e->places_room)
		error = grow_places(e, fd);
	return error;
}

static short wanted(unsigned events)
{
	unsigned bits = (events & CREW__READ) ? POLLIN : 0;
	bits |= (events & (CREW__READ | CREW__ENDED)) ? POLLRDHUP : 0;
	return (short)(bits | ((events & CREW__WRITE) ? POLLOUT : 0));
}

static int add(struct crew__engine *engine, struct crew__source *source, unsigned events)
{
	struct poll_engine *e = mine(engine);
	int error = check_kind(source->fd);
	if (!error)
		error = make_room(e, source->fd);
	if (error)
		return error;
	if (e->places[source->fd] != 0)
		return -EEXIST;
	e->polls[e->count] = (struct pollfd){ .fd = source->fd, .events = wanted(events) };
	e->sources[e->count] = source;
	e->places[source->fd] = ++e->count;
	source->events = events;
	return 0;
}

/* The entry of a source; e->count when it has none (it was never added). */
static uint32_t entry_of(const struct poll_engine *e, const struct crew__source *source)
{
	if ((uint32_t)source->fd >= e->places_room || e->places[source->fd] == 0)
		return e->count;
	uint32_t entry = e->places[source->fd] - 1;
	return e->sources[entry] == source ? entry : e->count;
}

static int mod(struct crew__engine *engine, struct crew__source *source, unsigned events)
{
	struct poll_engine *e = mine(engine);
	uint32_t entry = entry_of(e, source);
	if (entry == e->count)
		return -ENOENT;
	e->polls[entry].events = wanted(events);
	source->events = events;
	return 0;
}

/* The last entry moves into its place. */
static void fill_hole(struct poll_engine *e, uint32_t entry)
{
	uint32_t last = --e->count;
	if (entry == last)
		return;
	e->polls[entry] = e->polls[last];
	e->sources[entry] = e->sources[last];
	e->places[e->polls[entry].fd] = entry + 1;
}

static void remove_source(struct crew__engine *engine, struct crew__source *source)
{
	struct poll_engine *e = mine(engine);
	uint32_t entry = entry_of(e, source);
	if (entry == e->count)
		return;
	e->places[source->fd] = 0;
	source->events = 0;
	if (!e->dispatching) {
		fill_hole(e, entry);
		return;
	}
	e->polls[entry].fd = -1;
	e->sources[entry] = NULL;
	e->holes++;
}

/* Milliseconds are rounded up: rounded down, the loop would spin through the last fraction. */
static int to_ms(uint64_t now_ns, uint64_t until_ns)
{
	if (until_ns == CREW__NEVER)
		return -1;
	if (until_ns <= now_ns)
		return 0;
	uint64_t ms = (until_ns - now_ns - 1) / CREW__NS_PER_MS + 1;
	return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

static int wait_poll(struct crew__engine *engine, uint64_t now_ns, uint64_t until_ns)
{
	struct poll_engine *e = mine(engine);
	int n = poll(e->polls, e->count, to_ms(now_ns, until_ns));
	e->ready = n >= 0 ? n : 0;
	return n >= 0 || errno == EINTR ? 0 : -errno;
}

static void fill_holes(struct poll_engine *e)
{
	for (uint32_t i = e->count; e->holes > 0 && i-- > 0;) {
		if (e->sources[i])
			continue;
		fill_hole(e, i);
		e->holes--;
	}
}

static void dispatch(struct crew__engine *engine)
{
	struct poll_engine *e = mine(engine);
	e->dispatching = true;
	/* Entries that are added meanwhile have no revents, and `ready` ends it before them. */
	for (uint32_t i = 0; e->ready > 0; i++) {
		unsigned ready = (unsigned short)e->polls[i].revents;
		if (ready == 0)
			continue;
		e->ready--;
		struct crew__source *source = e->sources[i];
		unsigned events = source ? crew__engine_events(ready, source->events) : 0;
		if (events)
			source->fn(source, events);
	}
	e->dispatching = false;
	fill_holes(e);
}

const struct crew__engine_ops crew__engine_poll = {
	.name = "poll",
	.open = open_poll,
	.close = close_poll,
	.add = add,
	.mod = mod,
	.remove = remove_source,
	.wait = wait_poll,
	.dispatch = dispatch,
};
