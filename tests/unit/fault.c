#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

static struct {
	enum fault_kind kind;
	unsigned at, calls;
	bool lasting, hit;
} fault;

void fault_set(enum fault_kind kind, unsigned n, bool lasting)
{
	fault.kind = kind;
	fault.at = n;
	fault.calls = 0;
	fault.lasting = lasting;
	fault.hit = false;
}

bool fault_hit(void)
{
	return fault.hit;
}

const char *fault_name(enum fault_kind kind)
{
	static const char *const names[] = { "none", "memory", "short write", "send EAGAIN",
		"send ECONNRESET", "recv EAGAIN", "recv ECONNRESET", "accept EMFILE",
		"epoll_ctl ENOMEM", "recvmmsg ENOMEM", "sendmmsg EAGAIN", "sendmmsg EPERM",
		"sendmmsg EINVAL", "sendmmsg one", "socket EMFILE", "connect ENETUNREACH",
		"getsockopt ENOBUFS", "pthread_create EAGAIN" };
	return names[kind];
}

static bool fails(enum fault_kind kind)
{
	if (fault.kind != kind)
		return false;
	fault.calls++;
	bool now = fault.calls == fault.at || (fault.lasting && fault.calls > fault.at);
	fault.hit |= now;
	return now;
}

/* The linker puts __wrap_NAME in NAME's place and keeps the old one as __real_NAME (ld(1)). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
ssize_t __real_recv(int fd, void *data, size_t len, int flags);
ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_sendfile(int to, int from, off_t *at, size_t len);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *arg), void *arg);
int __real_socket(int family, int type, int protocol);
int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __real_recvmmsg(
	int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);
int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendfile(int to, int from, off_t *at, size_t len);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *arg), void *arg);
int __wrap_socket(int family, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_recvmmsg(
	int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

void *__wrap_malloc(size_t size)
{
	return fails(FAULT_MEMORY) ? no_memory() : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails(FAULT_MEMORY) ? no_memory() : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails(FAULT_MEMORY) ? no_memory() : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails(FAULT_MEMORY) ? no_memory() : __real_reallocarray(old, count, size);
}

static bool send_fails(void)
{
	if (fails(FAULT_SEND_AGAIN)) {
		errno = EAGAIN;
		return true;
	}
	if (fails(FAULT_SEND_RESET)) {
		errno = ECONNRESET;
		return true;
	}
	return false;
}

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags)
{
	if (fails(FAULT_RECV_AGAIN)) {
		errno = EAGAIN;
		return -1;
	}
	if (fails(FAULT_RECV_RESET)) {
		errno = ECONNRESET;
		return -1;
	}
	return __real_recv(fd, data, len, flags);
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
	if (send_fails())
		return -1;
	return __real_send(fd, data, fails(FAULT_SHORT) && len > 1 ? 1 : len, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (send_fails())
		return -1;
	if (fails(FAULT_SHORT) && message->msg_iovlen > 0)
		return __real_send(fd, message->msg_iov[0].iov_base, 1, flags);
	return __real_sendmsg(fd, message, flags);
}

ssize_t __wrap_sendfile(int to, int from, off_t *at, size_t len)
{
	if (send_fails())
		return -1;
	return __real_sendfile(to, from, at, fails(FAULT_SHORT) && len > 1 ? 1 : len);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	if (fails(FAULT_ACCEPT)) {
		errno = EMFILE;
		return -1;
	}
	return __real_accept4(fd, address, size, flags);
}

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *arg), void *arg)
{
	if (fails(FAULT_THREAD))
		return EAGAIN;
	return __real_pthread_create(thread, attributes, run, arg);
}

int __wrap_socket(int family, int type, int protocol)
{
	if (fails(FAULT_SOCKET)) {
		errno = EMFILE;
		return -1;
	}
	return __real_socket(family, type, protocol);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	if (fails(FAULT_CONNECT)) {
		errno = ENETUNREACH;
		return -1;
	}
	return __real_connect(fd, address, size);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	if (fails(FAULT_OPTION)) {
		errno = ENOBUFS;
		return -1;
	}
	return __real_getsockopt(fd, level, name, value, size);
}

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	if (op != EPOLL_CTL_DEL && fails(FAULT_LOOP)) {
		errno = ENOMEM;
		return -1;
	}
	return __real_epoll_ctl(epoll, op, fd, event);
}

int __wrap_recvmmsg(
	int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	if (fails(FAULT_RECVMMSG)) {
		errno = ENOMEM;
		return -1;
	}
	return __real_recvmmsg(fd, messages, count, flags, timeout);
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	static const struct {
		enum fault_kind kind;
		int error;
	} errors[] = { { FAULT_SENDMMSG_AGAIN, EAGAIN }, { FAULT_SENDMMSG_PERM, EPERM },
		{ FAULT_SENDMMSG_PIECE, EINVAL } };
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (fails(errors[i].kind)) {
			errno = errors[i].error;
			return -1;
		}
	}
	return __real_sendmmsg(fd, messages, fails(FAULT_SENDMMSG_ONE) ? 1 : count, flags);
}
