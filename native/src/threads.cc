// Sets the number of programs that share the threads.
#include "threads.h"

extern "C" void lamina_share(int64_t programs) { lamina::Threads::programs = std::max<int64_t>(programs, 1); }
