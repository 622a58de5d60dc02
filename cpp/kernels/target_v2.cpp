// Kernels compiled for the v2 target; its instruction-set flags are set in CMakeLists.txt.
#define POOLCORE_VECTOR_BYTES 16
#define POOLCORE_TABLE kV2Table
#include "kernels/target.inl.hpp"
