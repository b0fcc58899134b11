/* posts.c - calls from other threads: a queue behind a lock, and an eventfd that wakes the loop.
 *
 * The queue is as long as the program makes it; nothing that a peer sends gets in here. Whoever
 * finds it empty writes the eventfd, so a burst of posts costs one system call. */
#include "loop/parts.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The descriptor is emptied before the queue is taken: a post that comes in between is run now and
 * wakes the loop once for nothing; in the other order it could be left lying. */
static void on_arrived(struct crew__source *source, unsigned events)
{
	(void)events;
	struct crew__posts *posts = crew__container_of(source, struct crew__posts, source);
	uint64_t count;
	ssize_t ignored = read(source->fd, &count, sizeof(count));
	(void)ignored;
	posts->arrived = true;
}

int crew__posts_init(struct crew__posts *posts, struct crew__loop *loop)
{
	int error;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	posts->source = (struct crew__source){ .fn = on_arrived, .fd = fd };
	posts->last = &posts->first;
	error = -pthread_mutex_init(&posts->lock, NULL);
	if (error)
		goto close_fd;
	error = crew__loop_add(loop, &posts->source, CREW__READ);
	if (error)
		goto destroy_lock;
	return 0;

destroy_lock:
	pthread_mutex_destroy(&posts->lock);
close_fd:
	close(fd);
	posts->source.fd = -1;
	return error;
}

static struct crew__post *take_all(struct crew__posts *posts)
{
	pthread_mutex_lock(&posts->lock);
	struct crew__post *first = posts->first;
	posts->first = NULL;
	posts->last = &posts->first;
	pthread_mutex_unlock(&posts->lock);
	return first;
}

static void forget_all(struct crew__posts *posts)
{
	struct crew__post *post = take_all(posts);
	while (post) {
		struct crew__post *forgotten = post;
		bool kept = post->kept; /* such a one may be gone when it was told */
		post = post->next;
		if (forgotten->drop)
			forgotten->drop(forgotten->arg);
		if (!kept)
			free(forgotten);
	}
}

void crew__posts_fini(struct crew__posts *posts, struct crew__loop *loop)
{
	int fd = posts->source.fd;
	forget_all(posts);
	crew__loop_remove(loop, &posts->source);
	close(fd);
	pthread_mutex_destroy(&posts->lock);
}

void crew__posts_shut(struct crew__posts *posts, bool shut)
{
	pthread_mutex_lock(&posts->lock);
	posts->shut = shut;
	pthread_mutex_unlock(&posts->lock);
	if (shut)
		forget_all(posts);
}

void crew__posts_run(struct crew__posts *posts)
{
	posts->arrived = false;
	struct crew__post *post = take_all(posts);
	while (post) {
		struct crew__post *done = post;
		bool kept =
			post->kept; /* such a one may be queued anew, or gone, when it has run */
		post = post->next;
		done->fn(done->arg);
		if (!kept)
			free(done);
	}
}

int crew__loop_post_kept(struct crew__loop *loop, struct crew__post *post)
{
	struct crew__posts *posts = &loop->posts;
	post->next = NULL;
	pthread_mutex_lock(&posts->lock);
	if (posts->shut) {
		pthread_mutex_unlock(&posts->lock);
		return -ESHUTDOWN;
	}
	bool was_empty = !posts->first;
	*posts->last = post;
	posts->last = &post->next;
	pthread_mutex_unlock(&posts->lock);

	if (was_empty)
		eventfd_write(posts->source.fd, 1); /* cannot fail: the count stays far from full */
	return 0;
}

int crew__loop_post(struct crew__loop *loop, void (*fn)(void *arg), void *arg)
{
	return crew__loop_post_owned(loop, fn, NULL, arg);
}

int crew__loop_post_owned(
	struct crew__loop *loop, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
	struct crew__post *post = malloc(sizeof(*post));
	if (!post)
		return -ENOMEM;
	*post = (struct crew__post){ .fn = fn, .drop = drop, .arg = arg };
	int error = crew__loop_post_kept(loop, post);
	if (error)
		free(post);
	return error;
}
