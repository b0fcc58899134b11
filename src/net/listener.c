#include "net/listener.h"

#include "base/check.h"
#include "base/clock.h"
#include "net/address.h"
#include "net/balance.h"
#include "net/ip_table.h"
#include "net/refuse.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ACCEPTS_A_TURN = 32,
	PAUSE_MS = 250
};

/* The one path that there is for everybody, behind chroot too. */
static int open_reserve(void)
{
	return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void turn_away(int fd)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

/* The reserve makes room for one: it is accepted only to be told no. */
static void turn_one_away(struct crew__listener *listener, int fd)
{
	if (listener->reserve < 0)
		return;
	close(listener->reserve);
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client >= 0)
		turn_away(client);
	listener->reserve = open_reserve();
}

static void pause_accepting(struct crew__listener *listener)
{
	struct crew__loop *loop = listener->net->loop;
	uint64_t due = crew__loop_ns(loop) + PAUSE_MS * CREW__NS_PER_MS;
	if (crew__timer_start(loop, &listener->resume, due) == 0)
		crew__loop_remove(loop, &listener->source);
}

static void resume_accepting(struct crew__timer *timer)
{
	struct crew__listener *listener = crew__container_of(timer, struct crew__listener, resume);
	if (listener->reserve < 0)
		listener->reserve = open_reserve();
	if (crew__listener_start(listener) < 0)
		pause_accepting(listener);
}

static void accept_failed(struct crew__listener *listener, int error)
{
	char left_out[CREW__LEFT_OUT_MAX];
	listener->net->stats.slab->accept_failed++;
	if (crew__log_may(&listener->failed_log, 1, left_out))
		crew__log(CREW_WARN,
			"%s: cannot accept: %s; pausing for %d ms. Raise the descriptor limit "
			"(ulimit -n) or lower max_connections%s",
			listener->name, strerror(error), PAUSE_MS, left_out);
	turn_one_away(listener, listener->fd);
	pause_accepting(listener);
}

static bool over_limit(struct crew__listener *listener)
{
	struct crew__net *net = listener->net;
	char left_out[CREW__LEFT_OUT_MAX];
	if (net->stats.slab->connections < net->limits.max_connections)
		return false;
	net->stats.slab->refused_limit++;
	if (crew__log_may(&listener->limit_log, 1, left_out))
		crew__log(CREW_WARN, "%s: connection refused: max_connections (%zu) is reached%s",
			listener->name, net->limits.max_connections, left_out);
	return true;
}

static bool over_ip_limit(struct crew__listener *listener, const struct crew__record_address *from)
{
	struct crew__net *net = listener->net;
	char left_out[CREW__LEFT_OUT_MAX];
	char text[80];
	if (!net->ips || net->proxied ||
		crew__ip_table_enter(net->ips, from, net->limits.max_connections_per_ip))
		return false;
	net->stats.slab->refused_ip++;
	if (crew__log_may(&listener->ip_log, 1, left_out)) {
		crew__address_text(from, text, sizeof(text));
		crew__log(CREW_WARN,
			"%s: connection from %s refused: max_connections_per_ip (%zu) is "
			"reached%s",
			listener->name, text, net->limits.max_connections_per_ip, left_out);
	}
	return true;
}

/* Behind a proxy whose it is comes later. */
static bool is_too_fast(struct crew__listener *listener, const struct crew__record_address *from)
{
	return !listener->net->proxied && crew__refuse_fast(listener->net, from, listener->name);
}

static void admit(struct crew__listener *listener, int fd, const struct sockaddr_storage *peer,
	socklen_t peer_size)
{
	struct crew__net *net = listener->net;
	struct crew__record_address remote, local;
	struct sockaddr_storage own;
	socklen_t size = sizeof(own);
	crew__address_record_of(peer, peer_size, &remote);
	if (over_limit(listener) || is_too_fast(listener, &remote) ||
		over_ip_limit(listener, &remote)) {
		turn_away(fd);
		return;
	}
	memset(&own, 0, sizeof(own));
	if (getsockname(fd, (struct sockaddr *)&own, &size) < 0)
		memset(&own, 0, sizeof(own));
	crew__address_record_of(&own, size, &local);
	if (crew__net_adopt(net, fd, &remote, &local) == 0) {
		net->stats.slab->accepted++;
		return;
	}
	if (net->ips && !net->proxied)
		crew__ip_table_leave(net->ips, &remote);
	net->stats.slab->accept_failed++;
}

/* Errors of a connection that broke before it was taken (accept(2)) are nobody's fault. */
static bool is_passing(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EPERM:
		return true;
	default:
		return false;
	}
}

void crew__listener_accept(struct crew__listener *listener, unsigned most)
{
	for (unsigned i = 0; i < most && listener->fd >= 0; i++) {
		struct sockaddr_storage peer;
		socklen_t size = sizeof(peer);
		peer.ss_family = AF_UNSPEC;
		int fd = accept4(listener->fd, (struct sockaddr *)&peer, &size,
			SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			if (size == 0)
				peer.ss_family = AF_UNIX;
			admit(listener, fd, &peer, size);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (is_passing(errno))
			continue;
		accept_failed(listener, errno);
		return;
	}
}

static void on_acceptable(struct crew__source *source, unsigned events)
{
	(void)events;
	struct crew__listener *listener = crew__container_of(source, struct crew__listener, source);
	struct crew__balance *balance = listener->net->balance;
	if (crew__likely(!balance)) {
		crew__listener_accept(listener, ACCEPTS_A_TURN);
		return;
	}
	crew__listener_accept(listener, crew__balance_share(balance, ACCEPTS_A_TURN));
	crew__balance_accepted(balance);
}

/* Accepted sockets inherit it from the listener. A limit of 0 is the system's own. A Unix socket
 * takes none. */
void crew__listener_set_options(struct crew__listener *listener)
{
	int limit = listener->net->limits.kernel_unsent_limit;
	if (listener->fd < 0)
		return;
	setsockopt(listener->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, sizeof(limit));
}

int crew__listener_init(
	struct crew__listener *listener, struct crew__net *net, int take_fd, const char *name)
{
	*listener = (struct crew__listener){
		.source = { .fn = on_acceptable, .fd = -1 },
		.fd = take_fd,
		.net = net,
		.resume.fn = resume_accepting,
		.reserve = open_reserve(),
		.name = name,
	};
	crew__list_init(&listener->node);
	if (listener->reserve < 0) {
		int error = -errno;
		close(take_fd);
		listener->fd = -1;
		return error;
	}
	crew__listener_set_options(listener);
	return 0;
}

static int watch(struct crew__listener *listener)
{
	listener->source.fd = listener->fd;
	int error = crew__loop_add(
		listener->net->loop, &listener->source, CREW__READ | CREW__SHARED);
	if (error)
		listener->source.fd = -1;
	return error;
}

int crew__listener_start(struct crew__listener *listener)
{
	struct crew__balance *balance = listener->net->balance;
	if (balance && crew__list_empty(&listener->node))
		crew__list_push(&balance->listeners, &listener->node);
	return balance && balance->stands_back ? 0 : watch(listener);
}

void crew__listener_ignore(struct crew__listener *listener)
{
	crew__loop_remove(listener->net->loop, &listener->source);
}

/* One that pauses comes back by itself. */
void crew__listener_watch(struct crew__listener *listener)
{
	if (listener->source.fd < 0 && listener->resume.place == 0 && watch(listener) < 0)
		pause_accepting(listener);
}

void crew__listener_fini(struct crew__listener *listener)
{
	if (listener->fd < 0)
		return;
	crew__list_remove(&listener->node);
	crew__timer_stop(listener->net->loop, &listener->resume);
	crew__loop_remove(listener->net->loop, &listener->source);
	close(listener->fd);
	listener->fd = -1;
	if (listener->reserve >= 0)
		close(listener->reserve);
	listener->reserve = -1;
}
