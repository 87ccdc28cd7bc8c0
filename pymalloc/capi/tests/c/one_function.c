/* Links `free` and no other name of the archive: what strdup allocates must be the same
 * allocator's all the same. */
extern char *strdup(const char *);
extern void free(void *);
extern int puts(const char *);

int main(void) {
    for (int i = 0; i < 1000; i++)
        free(strdup("a block of the allocator that free belongs to"));
    puts("ok");
}
