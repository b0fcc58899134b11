/* memfd.c - making, sealing and mapping. */
#include "stats/memfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SIZE_SEALS = F_SEAL_SHRINK | F_SEAL_GROW
};

static int prepare(int fd, size_t size)
{
	off_t length = (off_t)size;
	if (length < 0 || (size_t)length != size)
		return -EINVAL;
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, length) < 0 ||
		fcntl(fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_SEAL) < 0)
		return -errno;
	return 0;
}

static int map(int fd, size_t size, bool writable, void **ret_memory)
{
	int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	void *memory = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	*ret_memory = memory;
	return 0;
}

int crew__memfd_new(const char *name, size_t size, int *ret_fd, void **ret_memory)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int error = prepare(fd, size);
	if (!error)
		error = map(fd, size, true, ret_memory);
	if (error) {
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

int crew__memfd_map(int fd, size_t least, bool writable, size_t *ret_size, void **ret_memory)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);
	/* EINVAL: a file that cannot be sealed at all. */
	if (seals < 0)
		return errno == EINVAL ? -EPROTO : -errno;
	if ((seals & SIZE_SEALS) != SIZE_SEALS)
		return -EPROTO;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size < 0 || (uint64_t)status.st_size < least ||
		(uint64_t)status.st_size > SIZE_MAX)
		return -EPROTO;
	int error = map(fd, (size_t)status.st_size, writable, ret_memory);
	if (!error)
		*ret_size = (size_t)status.st_size;
	return error;
}

int crew__memfd_readonly(int fd)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int copy = open(path, O_RDONLY | O_CLOEXEC);
	return copy < 0 ? -errno : copy;
}
