#include "net/splice.h"

#include "base/check.h"
#include "net/conn_out.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	IDLE_MOST = 8,     /* empty pipes that are kept for the next chunk */
	SHARE = 32,        /* of the descriptors a process may have, one for so many is a pipe's */
	WITHOUT_FOR = 100, /* hundredths: when there was no pipe, how long none is asked for */
};

/* In the pool while it is empty, a connection's while it is not. */
struct pipe {
	struct pipe *next;
	int out, in; /* its two ends: we write to `in` */
	size_t held;
};

struct crew__pipes {
	struct pipe *idle;
	unsigned idle_count, count, most;
	bool without;           /* the last one could not be made */
	uint32_t without_since; /* hundredths */
};

/* ---- pipes ----------------------------------------------------------------------------------- */

static void discard(struct crew__pipes *pipes, struct pipe *p)
{
	close(p->out);
	close(p->in);
	free(p);
	pipes->count--;
}

/* A pipe has a place for each piece of a packet: one of few places is worth less than a copy. The
 * kernel gives those to users whose pipes hold much already (pipe(7): pipe-user-pages-soft). */
static bool open_ends(int ends[2])
{
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
		return false;
	if (fcntl(ends[1], F_SETPIPE_SZ, CREW__SPLICE_MOST) >= CREW__READ_MOST ||
		fcntl(ends[1], F_GETPIPE_SZ) >= CREW__READ_MOST)
		return true;
	close(ends[0]);
	close(ends[1]);
	return false;
}

static struct pipe *make_pipe(struct crew__pipes *pipes)
{
	int ends[2];
	struct pipe *p = calloc(1, sizeof(*p));
	if (!p || !open_ends(ends)) {
		free(p);
		return NULL;
	}
	p->out = ends[0];
	p->in = ends[1];
	pipes->count++;
	return p;
}

/* Pipes are not to take the descriptors that connections need. */
static struct crew__pipes *pipes_of(struct crew__net *net)
{
	struct rlimit files;
	if (net->pipes)
		return net->pipes;
	net->pipes = calloc(1, sizeof(*net->pipes));
	if (!net->pipes)
		return NULL;
	net->pipes->most = CREW__SPLICE_PIPES;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
		files.rlim_cur / (2 * SHARE) < CREW__SPLICE_PIPES)
		net->pipes->most = (unsigned)(files.rlim_cur / (2 * SHARE));
	return net->pipes;
}

static struct pipe *take_pipe(struct crew__net *net)
{
	struct crew__pipes *pipes = pipes_of(net);
	struct pipe *p = pipes ? pipes->idle : NULL;
	uint32_t now = crew__net_now(net);
	if (p) {
		pipes->idle = p->next;
		pipes->idle_count--;
		return p;
	}
	if (!pipes || pipes->count >= pipes->most ||
		(pipes->without && now - pipes->without_since < WITHOUT_FOR))
		return NULL;
	p = make_pipe(pipes);
	pipes->without = !p;
	pipes->without_since = now;
	return p;
}

static void give_back(struct crew__net *net, struct pipe *p)
{
	struct crew__pipes *pipes = net->pipes;
	if (p->held > 0 || pipes->idle_count == IDLE_MOST) {
		discard(pipes, p);
		return;
	}
	p->next = pipes->idle;
	pipes->idle = p;
	pipes->idle_count++;
}

void crew__pipes_free(struct crew__pipes *pipes)
{
	while (pipes && pipes->idle) {
		struct pipe *p = pipes->idle;
		pipes->idle = p->next;
		discard(pipes, p);
	}
	crew__must(!pipes || pipes->count == 0);
	free(pipes);
}

/* ---- moving ---------------------------------------------------------------------------------- */

static ssize_t move(int from, int to, size_t len)
{
	return splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

/* From the pipe to the connection's socket: bytes, 0 when that is full, -1 when it broke (CLOSED).
 */
static ssize_t drain(crew_conn *to, struct pipe *p)
{
	ssize_t n = move(p->out, to->fd, p->held);
	if (n > 0)
		p->held -= (size_t)n;
	return n >= 0 ? n : crew__out_failed(to);
}

/* Nothing of either needs more than moving. */
static bool is_plain(const crew_conn *from, const crew_conn *to)
{
	const uint32_t not_now = CREW__C_WRITING | CREW__C_CAPPED | CREW__C_TIGHT |
				 CREW__C_FINISHING | CREW__C_IN_BURST | CREW__C_PARTS;
	bool plain = from->io == CREW__IO_SOCKET || from->io == CREW__IO_SPLICE;
	return plain && to->io == CREW__IO_SOCKET && from->in.len == 0 &&
	       from->record->protocol == CREW__RAW && to->record->protocol == CREW__RAW &&
	       from->record->state == CREW__CONN_OPEN && to->record->state == CREW__CONN_OPEN &&
	       crew__queue_empty(&to->queue) && !(to->flags & not_now) && to->net->cork.len == 0;
}

static void note_arrived(crew_conn *from, size_t bytes)
{
	from->net->stats.slab->total_request++;
	from->net->stats.slab->bytes_in += bytes;
	from->record->bytes_in += bytes;
	from->record->last_in = crew__net_now(from->net);
}

/* The pipe stays with the connection until its socket has taken the rest. */
static void hold(crew_conn *from, crew_conn *to, struct pipe *p)
{
	to->net->table->transports[to->slot] = p;
	to->io = CREW__IO_SPLICE;
	crew__conn_stop_reading(from, CREW__C_PIPE_FULL);
	crew__out_kernel_is_full(to);
	if (to->record->state != CREW__CONN_CLOSED &&
		to->record->bytes_queued >= crew__conn_limit(to))
		crew__out_reached_limit(to);
}

/* What became of a chunk. */
enum moved {
	ALL,      /* there may be more */
	SOME,     /* the rest stays in the pipe, which is the far one's now */
	NOTHING,  /* one of the two broke */
	NOT_THUS, /* it must be read instead */
};

/* That nothing is there, or that this is the end, is to be told by recv(2): splice(2) says so as
 * well where a byte out of band stands before what there is, and would say it for ever. But an
 * error of the socket is told once, here or there. */
static enum moved read_failed(crew_conn *from, ssize_t n)
{
	if (n == 0 || errno == EAGAIN || errno == EINTR || errno == EINVAL || errno == EOPNOTSUPP ||
		errno == ENOSYS || errno == ENOMEM)
		return NOT_THUS;
	crew__conn_broken(from, CREW_END_RESET);
	return NOTHING;
}

static enum moved move_chunk(crew_conn *from, crew_conn *to, struct pipe *p)
{
	/* As much as a read would take, or what fits below the limit with room to spare. */
	size_t half = crew__min(crew__conn_limit(to) / 2, (size_t)CREW__SPLICE_MOST);
	ssize_t n = move(from->fd, p->in, crew__max(half, (size_t)CREW__READ_MOST));
	if (n <= 0)
		return read_failed(from, n);
	p->held = (size_t)n;
	note_arrived(from, (size_t)n);
	crew__conn_count_accepted(to, (size_t)n, crew__net_now(to->net));
	ssize_t gone = drain(to, p);
	if (gone < 0)
		return NOTHING;
	crew__out_settle(to, (size_t)gone, p->held == 0);
	if (p->held == 0)
		return ALL;
	hold(from, to, p);
	return SOME;
}

bool crew__splice(crew_conn *from)
{
	crew_conn *to = crew__conn_pipe_to(from);
	if (!to || !is_plain(from, to))
		return false;
	struct pipe *p = take_pipe(to->net);
	if (!p)
		return false;
	struct crew__net *owner = to->net;
	enum moved moved = move_chunk(from, to, p);
	if (moved != SOME)
		give_back(owner, p);
	return moved != NOT_THUS;
}

/* ---- what is left in a pipe, as a transport -------------------------------------------------- */

static struct pipe *pipe_of(const crew_conn *c)
{
	return c->net->table->transports[c->slot];
}

static ssize_t splice_recv(crew_conn *c, char *room, size_t size)
{
	ssize_t n = recv(c->fd, room, size, 0);
	if (n > 0) {
		c->net->stats.slab->bytes_in += (uint64_t)n;
		c->record->bytes_in += (uint64_t)n;
		c->record->last_in = crew__net_now(c->net);
	}
	return n;
}

static bool splice_has_more(const crew_conn *c)
{
	(void)c;
	return false;
}

/* What comes behind the pipe's waits in the queue. */
static ssize_t splice_send(crew_conn *c, const struct iovec *vectors, size_t count)
{
	(void)c;
	(void)vectors;
	(void)count;
	return 0;
}

static void splice_settle(crew_conn *c, size_t bytes, uint32_t messages)
{
	crew__out_left(c, bytes, bytes, messages);
}

static void splice_release(crew_conn *c)
{
	struct pipe *p = pipe_of(c);
	c->net->table->transports[c->slot] = NULL;
	c->io = CREW__IO_SOCKET;
	give_back(c->net, p);
}

static bool splice_flush(crew_conn *c)
{
	struct pipe *p = pipe_of(c);
	ssize_t n = drain(c, p);
	if (n < 0)
		return false;
	bool done = p->held == 0;
	crew__out_left(c, (size_t)n, (size_t)n, done);
	if (done)
		splice_release(c);
	return done;
}

static bool splice_pending(const crew_conn *c)
{
	return pipe_of(c)->held > 0;
}

static void splice_held(const crew_conn *c, uint64_t *ret_bytes, uint64_t *ret_messages)
{
	*ret_bytes = pipe_of(c)->held;
	*ret_messages = 1;
}

/* It is said when all has left, so the pipe is empty and the socket's own way stands again. */
static void splice_finish(crew_conn *c)
{
	shutdown(c->fd, SHUT_WR);
}

const struct crew__io crew__io_splice = {
	.recv = splice_recv,
	.has_more = splice_has_more,
	.send = splice_send,
	.settle = splice_settle,
	.flush = splice_flush,
	.pending = splice_pending,
	.held = splice_held,
	.finish = splice_finish,
	.release = splice_release,
};
